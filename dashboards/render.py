#!/usr/bin/env python3
"""Draws the dashboards from what a running Prometheus holds: every query is executed as it stands in the file.

    python3 -m venv venv && venv/bin/pip install matplotlib
    venv/bin/python dashboards/render.py http://127.0.0.1:9090 --minutes 15 --out dashboards/pictures

It is no Grafana: places, titles, legends and queries are those of the files, the looks are not. Variables stand for all of their
values. What fails to be executed ends it; a panel without data says so. The last line counts panels, queries and those without data.
"""
import argparse
import json
import pathlib
import time
import urllib.parse
import urllib.request

import matplotlib

matplotlib.use("Agg")
import matplotlib.dates
import matplotlib.pyplot as plt

COLUMNS = 24
STEP_S = 10
BYTES = ["B", "KiB", "MiB", "GiB", "TiB"]


def ask(base, path, **parameters):
    url = f"{base}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)["data"]["result"]


def executable(expression, variables, step):
    for name in variables:
        expression = expression.replace(f"${name}", ".*").replace("${" + name + "}", ".*")
    for name, value in (("$__rate_interval", f"{step * 4}s"), ("$__interval", f"{step}s"), ("$__range", "15m")):
        expression = expression.replace(name, value)
    return expression


def legend(target, metric):
    text = target.get("legendFormat") or ", ".join(metric.values())
    for name, value in metric.items():
        text = text.replace("{{" + name + "}}", value)
    return text if "{{" not in text else ""


def number(value, unit):
    if value != value:
        return "no value"
    if unit == "percentunit":
        return f"{value * 100:.1f} %"
    if unit in ("bytes", "decbytes"):
        power = 0
        while abs(value) >= 1024 and power < len(BYTES) - 1:
            value, power = value / 1024, power + 1
        return f"{value:.1f} {BYTES[power]}"
    suffix = {"s": " s", "ms": " ms", "h": " h", "d": " d", "ops": "/s"}.get(unit, "")
    return f"{value:,.3g}{suffix}" if abs(value) < 100 else f"{value:,.0f}{suffix}"


def curves(base, panel, variables, begin, end):
    found = []
    for target in panel.get("targets", []):
        query = executable(target["expr"], variables, STEP_S)
        for series in ask(base, "query_range", query=query, start=begin, end=end, step=STEP_S):
            points = [(float(at), float(value)) for at, value in series["values"]]
            found.append((legend(target, series["metric"]), points))
    return found


def draw(axes, panel, found):
    unit = panel.get("fieldConfig", {}).get("defaults", {}).get("unit", "")
    axes.set_title(panel["title"], loc="left", fontsize=8)
    axes.tick_params(labelsize=6)
    if not found:
        axes.text(0.5, 0.5, "no data", ha="center", va="center", fontsize=8, color="#777777")
        axes.set_xticks([]), axes.set_yticks([])
        return
    if panel["type"] in ("timeseries", "graph"):
        for name, points in found:
            days = [at / 86400 for at, _ in points]
            axes.plot(days, [value for _, value in points], linewidth=0.8, label=name)
        axes.xaxis.set_major_formatter(matplotlib.dates.DateFormatter("%H:%M"))
        axes.yaxis.set_major_formatter(lambda value, _: number(value, unit))
        axes.grid(linewidth=0.3)
        if axes.get_ylim()[0] > 0 or axes.get_ylim()[0] < 0 <= min(v for _, p in found for _, v in p):
            axes.set_ylim(bottom=0)
        if any(name for name, _ in found):
            axes.legend(fontsize=5, loc="upper left", frameon=False, ncols=2)
        return
    axes.set_xticks([]), axes.set_yticks([])
    lines = [(name, points[-1][1]) for name, points in found][:8]
    for at, (name, value) in enumerate(lines):
        text = number(value, unit) if len(lines) == 1 else f"{name}  {number(value, unit)}"
        axes.text(0.5, 1 - (at + 0.5) / len(lines), text, ha="center", va="center",
                  fontsize=13 if len(lines) == 1 else 6, transform=axes.transAxes)


def render(base, path, out, minutes, counts):
    dashboard = json.loads(path.read_text())
    variables = sorted((one["name"] for one in dashboard["templating"]["list"]), key=len, reverse=True)
    end = time.time()
    panels = [one for one in dashboard["panels"]]
    rows = max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in panels)
    figure = plt.figure(figsize=(14, max(3, rows * 0.28)))
    figure.suptitle(dashboard["title"], x=0.01, y=0.995, ha="left", fontsize=11)
    for panel in panels:
        place = panel["gridPos"]
        left, width = place["x"] / COLUMNS, place["w"] / COLUMNS
        top, height = 0.985 * (1 - place["y"] / rows), 0.985 * place["h"] / rows
        if panel["type"] == "row":
            figure.text(left + 0.005, top - height / 2, panel["title"], fontsize=9, weight="bold", va="center")
            continue
        if not panel.get("targets"):
            continue
        axes = figure.add_axes([left + 0.2 * width, top - height + 0.22 * height, 0.76 * width, 0.6 * height])
        found = curves(base, panel, variables, end - minutes * 60, end)
        counts["panels"] += 1
        counts["queries"] += len(panel["targets"])
        counts["empty"] += not found
        draw(axes, panel, found)
    out.mkdir(parents=True, exist_ok=True)
    figure.savefig(out / f"{path.stem}.png", dpi=72)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prometheus", help="http://host:port")
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("dashboards/pictures"))
    options = parser.parse_args()
    counts = {"panels": 0, "queries": 0, "empty": 0}
    for path in sorted(pathlib.Path(__file__).parent.glob("*.json")):
        render(options.prometheus.rstrip("/"), path, options.out, options.minutes, counts)
    print("{panels} panels, {queries} queries executed, {empty} panels without data".format(**counts))


if __name__ == "__main__":
    main()
