#!/usr/bin/env python3
"""Runs random histories of the models, with all rules kept or with one broken.

    campaign.py cursors|regions [--mode MODE] [--histories N] [--from SEED]      all rules kept: must print no failure
    campaign.py cursors|regions --break RULE [...]                               prints the first seed that catches it
    campaign.py cursors|regions --first                                          the same for every rule
    campaign.py --short                                                          what the project's tests run: see README.md
    campaign.py --table                                                          the table of README.md
"""
import argparse
import importlib
import pathlib
import sys

MODELS = {"cursors": "two_cursors", "regions": "two_regions"}
SHORT = 10                                                   # histories of every mode that the tests run, besides one a rule


class Model:
    def __init__(self, name):
        package = MODELS[name]
        self.name = name
        self.rules = importlib.import_module(package + ".rules").RULES
        history = importlib.import_module(package + ".history")
        self.run = history.run
        self.modes = list(getattr(history, "MODES", {"": None}))
        self.expected = getattr(history, "EXPECTED", {})     # modes that must fail, with the word of what is found

    def first_failure(self, seeds, broken, mode):
        return next(((seed, why) for seed in seeds for why in [self.run(seed, broken, mode)] if why), None)


def keep_all(model, mode, first, histories):
    """All rules kept: nothing may fail, but what a mode is known to allow."""
    failures = []
    for seed in range(first, first + histories):
        why = model.run(seed, None, mode)
        if why and not why.startswith(tuple(model.expected.get(mode, ()))):
            failures.append(f"{model.name} {mode} seed {seed}: {why[:600]}")
    return failures


def first_seeds(model, names, first, histories, mode):
    for name in names:
        where = mode or model.rules[name].mode
        found = model.first_failure(range(first, first + histories), name, where)
        print(f"{name:16} {where:10} " + (f"not in {histories}" if found is None else f"seed {found[0]}: {found[1][:200]}"), flush=True)


def short():
    """A few histories of every mode, and of every broken rule the one that is known to catch it."""
    failures, passed = [], 0
    for model in map(Model, MODELS):
        for mode in model.modes:
            found = keep_all(model, mode, 0, SHORT)
            failures += found
            passed += not found
        for name, rule in model.rules.items():
            if rule.seed is None:
                continue
            if model.run(rule.seed, name, rule.mode):
                passed += 1
            else:
                failures.append(f"{model.name}: seed {rule.seed} does not catch {name} any more: campaign.py {model.name} --break {name}")
        for mode, words in model.expected.items():
            if model.first_failure(range(200), None, mode) is None:
                failures.append(f"{model.name} {mode}: {words} is expected within 200 histories, and was not found")
            else:
                passed += 1
    if table() not in (pathlib.Path(__file__).parent / "README.md").read_text():
        failures.append("the table in README.md is not what `campaign.py --table` prints")
    for failure in failures:
        print(failure)
    print(f"{passed} passed; {len(failures)} failed")
    return 1 if failures else 0


def table():
    lines = ["| model | rule | in words | first seed |", "|---|---|---|---|"]
    for model in map(Model, MODELS):
        for name, rule in model.rules.items():
            seed = "none" if rule.seed is None else f"{rule.mode} {rule.seed}".strip()
            lines.append(f"| {model.name} | *{name}* | {rule.words} | {seed} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", choices=MODELS)
    parser.add_argument("--mode")
    parser.add_argument("--histories", type=int, default=300)
    parser.add_argument("--from", type=int, default=0, dest="first")
    parser.add_argument("--break", dest="broken")
    parser.add_argument("--first", action="store_true", dest="every")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.short:
        return short()
    if options.table:
        print(table(), end="")
        return 0
    if options.model is None:
        parser.error("which model: cursors or regions")
    model = Model(options.model)
    if options.broken or options.every:
        names = [options.broken] if options.broken else list(model.rules)
        first_seeds(model, names, options.first, options.histories, options.mode)
        return 0
    status = 0
    for mode in [options.mode] if options.mode is not None else model.modes:
        failures = keep_all(model, mode, options.first, options.histories)
        print("\n".join(failures) if failures else f"{model.name} {mode}: {options.histories} histories hold", flush=True)
        status = status or bool(failures)
    return status


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.exit(main())
