//! Whole files: what Debian ships, odd but legal ones, and bad ones.

use minutehand_crontab::{
    Entry, FileLabel, Format, Known, Line, Machine, PREFIX_DEFAULT, Timing, follow, id_prefix,
    parse,
};
use proptest::prelude::*;

/// The lines that matter of Debian's own files.
const ETC_CRONTAB: &str = "\
# system-wide table; edit it, no command needs to be run afterwards
SHELL=/bin/sh
# PATH=/usr/local/sbin:/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin

# .---------------- minute (0 - 59)
# |  .------------- hour (0 - 23)
17 *\t* * *\troot\tcd / && run-parts --report /etc/cron.hourly
25 6\t* * *\troot\ttest -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }
47 6\t* * 7\troot\ttest -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.weekly; }
52 6\t1 * *\troot\ttest -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.monthly; }
#
";

const E2SCRUB_ALL: &str = "\
30 3 * * 0 root test -e /run/systemd/system || SERVICE_MODE=1 /usr/lib/x86_64-linux-gnu/e2fsprogs/e2scrub_all_cron
10 3 * * * root test -e /run/systemd/system || SERVICE_MODE=1 /sbin/e2scrub_all -A -r
";

const SYSSTAT: &str = "\
PATH=/usr/lib/sysstat:/usr/sbin:/usr/sbin:/usr/bin:/sbin:/bin

5-55/10 * * * * root command -v debian-sa1 > /dev/null && debian-sa1 1 1

59 23 * * * root command -v debian-sa1 > /dev/null && debian-sa1 60 2
";

const PHP: &str = "\
09,39 *     * * *     root   [ -x /usr/lib/php/sessionclean ] && if [ ! -d /run/systemd/system ]; then /usr/lib/php/sessionclean; fi
";

const CERTBOT: &str = "\
SHELL=/bin/sh
PATH=/usr/local/sbin:/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin

0 */12 * * * root test -x /usr/bin/certbot -a \\! -d /run/systemd/system && perl -e 'sleep int(rand(43200))' && certbot -q renew --no-random-sleep-on-renew";

fn timing(entry: &Entry) -> &str {
    match &entry.timing {
        Timing::AtStart => "at start",
        Timing::Cron(expression) => expression,
    }
}

/// (line, when, as whom, the beginning of what) of every entry of a file without errors.
fn rows(text: &str, format: Format) -> Vec<(usize, String, String, String)> {
    let file = parse(text.as_bytes(), format);
    assert_eq!(file.errors, [], "{text}");
    file.entries
        .iter()
        .map(|entry| {
            let user = entry.user.clone().unwrap_or_default();
            (
                entry.line,
                timing(entry).to_owned(),
                user,
                entry.command.chars().take(14).collect(),
            )
        })
        .collect()
}

/// One with users and no programs.
fn machine<'a>(is_user: &'a dyn Fn(&str) -> bool) -> Machine<'a> {
    Machine {
        is_user,
        is_program: &|_| false,
    }
}

fn row(line: usize, when: &str, user: &str, command: &str) -> (usize, String, String, String) {
    (line, when.to_owned(), user.to_owned(), command.to_owned())
}

fn errors(text: &str, format: Format) -> Vec<String> {
    parse(text.as_bytes(), format)
        .errors
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn debian_files_are_read() {
    assert_eq!(
        rows(ETC_CRONTAB, Format::System),
        [
            row(7, "17 *\t* * *", "root", "cd / && run-pa"),
            row(8, "25 6\t* * *", "root", "test -x /usr/s"),
            row(9, "47 6\t* * 7", "root", "test -x /usr/s"),
            row(10, "52 6\t1 * *", "root", "test -x /usr/s"),
        ]
    );
    assert_eq!(
        rows(E2SCRUB_ALL, Format::System),
        [
            row(1, "30 3 * * 0", "root", "test -e /run/s"),
            row(2, "10 3 * * *", "root", "test -e /run/s")
        ]
    );
    assert_eq!(
        rows(SYSSTAT, Format::System),
        [
            row(3, "5-55/10 * * * *", "root", "command -v deb"),
            row(5, "59 23 * * *", "root", "command -v deb")
        ]
    );
    assert_eq!(
        rows(PHP, Format::System),
        [row(1, "09,39 *     * * *", "root", "[ -x /usr/lib/")]
    );
    assert_eq!(
        rows(CERTBOT, Format::System),
        [row(4, "0 */12 * * *", "root", "test -x /usr/b")]
    );
    let certbot = parse(CERTBOT.as_bytes(), Format::System);
    assert!(
        certbot.entries[0]
            .command
            .ends_with("--no-random-sleep-on-renew"),
        "no final line end"
    );
    assert!(
        certbot.entries[0].command.contains("-a \\! -d"),
        "other backslashes stay"
    );
}

#[test]
fn the_shell_runs_the_command() {
    let file = parse(b"@daily a b\nSHELL=/bin/bash\n@daily c\n", Format::User);
    assert_eq!(file.entries[0].argv(), ["/bin/sh", "-c", "a b"]);
    assert_eq!(file.entries[1].argv(), ["/bin/bash", "-c", "c"]);
}

#[test]
fn the_longest_id_is_an_id() {
    let line = Line {
        content: "a".to_owned(),
        timing: String::new(),
    };
    let (prefix, file) = ("p".repeat(500), "f".repeat(500));
    for file in [FileLabel::of_name(&file), FileLabel::of_path(&file)] {
        let id = &follow(&prefix, &file, std::slice::from_ref(&line), &[]).ids[0];
        assert!(id.as_str().starts_with(&id_prefix(&prefix, &file)));
        assert!(
            id.as_str().starts_with("ppp") && id.as_str().len() <= 160,
            "{id}"
        );
    }
}

#[test]
fn the_environment_holds_for_the_lines_below_it() {
    let text = "@daily one\nSHELL=/bin/bash\nMAILTO=\"\"\n@daily two\nMAILTO=ops\nTZ=Asia/Tokyo\n@daily three\n";
    let file = parse(text.as_bytes(), Format::User);
    let seen: Vec<Vec<(&str, &str)>> = file
        .entries
        .iter()
        .map(|entry| entry.environment.iter().collect())
        .collect();
    assert_eq!(
        seen,
        [
            vec![],
            vec![("SHELL", "/bin/bash"), ("MAILTO", "")],
            vec![
                ("SHELL", "/bin/bash"),
                ("MAILTO", "ops"),
                ("TZ", "Asia/Tokyo")
            ],
        ]
    );
    assert!(
        file.entries[2].zone.is_none(),
        "TZ is for the command, not for its times"
    );
}

#[test]
fn cron_tz_sets_the_zone_below_it_and_can_be_taken_back() {
    let text = "@daily a\nCRON_TZ=Europe/Berlin\n@daily b\nCRON_TZ = \"America/New_York\"\n@daily c\nCRON_TZ=\n@daily d";
    let file = parse(text.as_bytes(), Format::User);
    let zones: Vec<Option<&str>> = file
        .entries
        .iter()
        .map(|entry| entry.zone.as_ref().map(|zone| zone.name()))
        .collect();
    assert_eq!(
        zones,
        [None, Some("Europe/Berlin"), Some("America/New_York"), None]
    );
}

#[test]
fn a_refused_zone_refuses_the_lines_that_need_it() {
    let text = "CRON_TZ=Europe/Berln\n0 5 * * * one\nCRON_TZ=Europe/Berlin\n0 5 * * * two\n";
    let file = parse(text.as_bytes(), Format::User);
    assert_eq!(file.entries.len(), 1);
    assert_eq!(
        errors(text, Format::User),
        [
            "line 1, column 9: unknown time zone \"Europe/Berln\"; did you mean Europe/Berlin?",
            "line 2, column 1: its time zone is not known, because CRON_TZ on line 1 was refused",
        ]
    );
}

#[test]
fn percent_signs_reach_command_and_standard_input() {
    let file = parse(
        b"0 0 * * * date +\\%F > /tmp/d\n5 0 * * * mail root%Hello%100\\%\n",
        Format::User,
    );
    assert_eq!(
        (
            file.entries[0].command.as_str(),
            file.entries[0].stdin.as_deref()
        ),
        ("date +%F > /tmp/d", None)
    );
    assert_eq!(
        (
            file.entries[1].command.as_str(),
            file.entries[1].stdin.as_deref()
        ),
        ("mail root", Some("Hello\n100%\n"))
    );
}

#[test]
fn nicknames_quiet_lines_and_odd_line_ends() {
    let text = "\u{feff}@reboot /bin/start\r\n  @hourly\t/bin/h  \r\n-*/5 * * * * /bin/q\r\n\r\n   # note\r\n@midnight x";
    let file = parse(text.as_bytes(), Format::User);
    assert_eq!(file.errors, []);
    let seen: Vec<(usize, &str, &str, bool)> = file
        .entries
        .iter()
        .map(|e| (e.line, timing(e), e.command.as_str(), e.quiet))
        .collect();
    assert_eq!(
        seen,
        [
            (1, "at start", "/bin/start", false),
            (2, "@hourly", "/bin/h", false),
            (3, "*/5 * * * *", "/bin/q", true),
            (6, "@midnight", "x", false),
        ]
    );
}

#[test]
fn every_bad_line_is_one_error_with_line_and_column() {
    let text = "0 5 * * * root ok\n61 5 * * * root x\n0 5 * *\n0 5 * * *\n0 5 * * * /usr/bin/backup all\n0 5 * * * root\n  0 0 30 2 * root never\nMAILTO='x\n@sometimes root x\n0 6 * * * root ok\n";
    let file = parse(text.as_bytes(), Format::System);
    assert_eq!(
        file.entries
            .iter()
            .map(|entry| entry.line)
            .collect::<Vec<_>>(),
        [1, 10]
    );
    let places: Vec<(usize, usize)> = file
        .errors
        .iter()
        .map(|error| (error.line, error.column))
        .collect();
    assert_eq!(&places[..5], [(2, 1), (3, 1), (4, 10), (5, 11), (6, 15)]);
    assert_eq!(places[6], (8, 8));
    let lines: Vec<usize> = places.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [2, 3, 4, 5, 6, 7, 8, 9], "one each");
    let messages = errors(text, Format::System);
    assert!(messages[0].contains("61"), "{}", messages[0]);
    assert_eq!(
        messages[1],
        "line 3, column 1: 4 of the five time fields; a line is: minute hour day month weekday user command"
    );
    assert_eq!(
        messages[3],
        "line 5, column 11: \"/usr/bin/backup\" is not a user name; a user's own crontab has no user column"
    );
    assert_eq!(messages[4], "line 6, column 15: the command is missing");
}

#[test]
fn columns_count_characters_of_the_line_as_it_stands() {
    let file = parse(
        "  0 25 * * * x\nA=é\n0 5 * * * é\u{0}\n".as_bytes(),
        Format::User,
    );
    let places: Vec<(usize, usize)> = file
        .errors
        .iter()
        .map(|error| (error.line, error.column))
        .collect();
    assert_eq!(places, [(1, 5), (3, 12)]);
    let broken = parse(b"@daily a\n@daily \xc3\xa9\xff\n@daily b\n", Format::User);
    assert_eq!(broken.entries.len(), 2);
    assert_eq!(
        broken.errors[0].to_string(),
        "line 2, column 9: bytes that are not UTF-8"
    );
}

fn lines(text: &str) -> Vec<Line> {
    let entries = parse(text.as_bytes(), Format::User).entries;
    entries
        .iter()
        .map(|entry| Line {
            content: entry.content(),
            timing: timing(entry).to_owned(),
        })
        .collect()
}

fn ids(text: &str) -> Vec<String> {
    let followed = follow(
        PREFIX_DEFAULT,
        &FileLabel::of_name("my crontab"),
        &lines(text),
        &[],
    );
    followed
        .ids
        .iter()
        .map(|id| id.as_str().to_owned())
        .collect()
}

#[test]
fn ids_outlive_insertions_and_changes_of_time() {
    let before = ids("0 5 * * * backup\n0 6 * * * report\n0 7 * * * backup\n");
    assert!(
        before
            .iter()
            .all(|id| id.starts_with("crontab/my_crontab/")),
        "{before:?}"
    );
    assert!(
        before[0].starts_with("crontab/my_crontab/1-")
            && before[2].starts_with("crontab/my_crontab/2-")
    );
    assert_eq!(
        before[0].rsplit('-').next(),
        before[2].rsplit('-').next(),
        "the same command"
    );
    let after =
        ids("# new\n@daily fresh\n5 5 * * * backup\nA=b\n0 6 * * * report\n0 7 * * * backup\n");
    assert_eq!(after[1..], before[..]);
    let edited = ids("0 5 * * * backup --all\n");
    assert_ne!(edited[0], before[0]);
}

#[test]
fn ids_are_stable_over_releases() {
    assert_eq!(
        ids("0 5 * * * backup\n"),
        ["crontab/my_crontab/1-5875f95c"],
        "changing this doubles imported schedules"
    );
}

#[test]
fn an_imported_file_is_known_by_its_name() {
    let prefix = |path: &str| id_prefix(PREFIX_DEFAULT, &FileLabel::of_name(path));
    for (path, begins) in [
        ("/etc/cron.d/php", "crontab/php/"),
        ("here/php", "crontab/php/"),
        ("my crontab", "crontab/my_crontab/"),
        ("-", "crontab/-/"),
    ] {
        assert_eq!(prefix(path), begins);
    }
}

#[test]
fn a_file_that_is_followed_is_known_by_its_path() {
    let prefix = |path: &str| id_prefix(PREFIX_DEFAULT, &FileLabel::of_path(path));
    for (path, begins) in [
        ("my.crontab", "crontab/my.crontab/"),
        ("./my.crontab", "crontab/my.crontab/"),
        ("/etc//cron.d/php", "crontab/:etc:cron.d:php/"),
        ("etc/cron.d/php", "crontab/etc:cron.d:php/"),
        ("x y", "crontab/x=20y/"),
        ("x_y", "crontab/x_y/"),
        ("x:y=z", "crontab/x=3Ay=3Dz/"),
    ] {
        assert_eq!(prefix(path), begins);
    }
    let long = |end: &str| prefix(&format!("/etc/{}{end}", "x".repeat(300)));
    assert_eq!(long("a").len(), "crontab/".len() + 96 + "/".len());
    assert_ne!(long("a"), long("b"));
}

/// Lines that cron takes, each with what becomes of it: command, standard input, user.
#[test]
fn what_cron_takes_is_taken() {
    let user = [
        ("*/90 * * * * x", "x", None),
        ("* */30 * * * x", "x", None),
        ("* * * * */9 x", "x", None),
        ("* * * * * -n x -q", "x -q", None),
        ("@daily -n  x", "x", None),
        ("* * * * * -n -n x", "x", None),
        ("* * * * * cat%b\\\\%c", "cat", Some("b\\%c\n")),
        ("* * * * * 7z a b", "7z a b", None),
        ("* * * * * /5 a", "/5 a", None),
        ("-@daily x", "x", None),
    ];
    for (line, command, stdin) in user {
        let file = parse(line.as_bytes(), Format::User);
        assert_eq!(file.errors, [], "{line}");
        let entry = &file.entries[0];
        assert_eq!(
            (entry.command.as_str(), entry.stdin.as_deref()),
            (command, stdin),
            "{line}"
        );
    }
    for name in [
        "user@corp.example",
        "CORP\\user",
        "machine$",
        "_www",
        "a.b-c",
    ] {
        let file = parse(format!("* * * * * {name} -n x").as_bytes(), Format::System);
        assert_eq!(file.errors, [], "{name}");
        let entry = &file.entries[0];
        assert_eq!(
            (entry.user.as_deref(), entry.command.as_str()),
            (Some(name), "x")
        );
    }
}

#[test]
fn what_cron_refuses_is_refused() {
    let further = |given: &str, user: &str| {
        format!(
            "the command begins with \"{given}\", which looks like one more time field; a line is: minute hour day month \
             weekday{user} command (a line with a delay and a name is one of an anacrontab)"
        )
    };
    let option = |given: &str| {
        format!("the option \"{given}\" before the command is not known; the only one is -n")
    };
    let cases = [
        ("* * * * * * /bin/true", Format::User, 11, further("*", "")),
        ("0 */5 * * * * x", Format::User, 13, further("*", "")),
        ("* * * * * */5 x", Format::User, 11, further("*/5", "")),
        ("0 0 12 * * 5 x", Format::User, 12, further("5", "")),
        ("0 0 12 * * ? x", Format::User, 12, further("?", "")),
        ("@daily * x", Format::User, 8, further("*", "")),
        ("@monthly 45 cron.monthly nice x", Format::User, 10, further("45", "")),
        ("* * * * * root * x", Format::System, 16, further("*", " user")),
        ("* * * * * -q x", Format::User, 11, option("-q")),
        ("* * * * * -s x", Format::User, 11, option("-s")),
        ("* * * * * -n -q x", Format::User, 14, option("-q")),
        ("* * * * * -nq x", Format::User, 11, option("-nq")),
        ("* * * * * root -x y", Format::System, 16, option("-x")),
        ("* * * * * -n", Format::User, 13, "the command is missing".to_owned()),
        ("- 0 1 * * * x", Format::User, 1, "minute is missing: must be 0-59".to_owned()),
        ("*/0 * * * * x", Format::User, 3, "a step must be at least 1, got 0".to_owned()),
        ("RANDOM_DELAY=1441", Format::User, 14, "RANDOM_DELAY is \"1441\"; it must be a number of minutes from 0 to 1440".to_owned()),
        ("RANDOM_DELAY=-5", Format::User, 14, "RANDOM_DELAY is \"-5\"; it must be a number of minutes from 0 to 1440".to_owned()),
        ("@boot x", Format::User, 1, "unknown nickname @boot: use @yearly, @monthly, @weekly, @daily or @hourly, or @reboot for a start".to_owned()),
    ];
    for (line, format, column, message) in cases {
        let file = parse(line.as_bytes(), format);
        assert_eq!(file.entries, [], "{line}");
        let error = &file.errors[0];
        assert_eq!(
            (error.column, error.reason.to_string()),
            (column, message),
            "{line}"
        );
    }
    for word in ["*", "5", "*/5", "1-5"] {
        let line = format!("* * * * * {word} x");
        let errors = errors(&line, Format::System);
        assert!(
            errors[0].contains("is not a user name"),
            "{line}: {errors:?}"
        );
    }
}

#[test]
fn a_random_delay_holds_for_the_lines_below_it() {
    let file = parse(
        b"@daily a\nRANDOM_DELAY=30\n@daily b\nRANDOM_DELAY=0\n@daily c\n",
        Format::User,
    );
    let delays: Vec<u16> = file
        .entries
        .iter()
        .map(|entry| entry.random_delay_minutes)
        .collect();
    assert_eq!(delays, [0, 30, 0]);
}

/// What could stand where the command begins by a slip: time fields, and options.
fn slip() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\*(/[0-9]{1,3})?",
        "[0-9]{1,3}(-[0-9]{1,2})?(,[0-9]{1,2}){0,2}(/[0-9]{1,2})?",
        Just("?".to_owned()),
        "-[a-mo-zA-Z][a-z]{0,3}",
        "-n[a-z]{1,3}",
    ]
}

proptest! {
    #[test]
    fn no_schedules_of_one_path_are_found_below_another(
        one in "[a-c_ :=./é-]{1,8}", other in "[a-c_ :=./é-]{1,8}"
    ) {
        let plain = |path: &str| -> Vec<String> {
            let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
            let root = path.starts_with('/').then(String::new);
            root.into_iter().chain(parts.map(str::to_owned)).collect()
        };
        let prefix = |path: &str| id_prefix(PREFIX_DEFAULT, &FileLabel::of_path(path));
        let (first, second) = (prefix(&one), prefix(&other));
        if plain(&one) == plain(&other) {
            prop_assert_eq!(first, second);
        } else {
            prop_assert!(!first.starts_with(&second) && !second.starts_with(&first));
        }
    }

    #[test]
    fn a_comment_may_hold_any_bytes(
        blanks in "[ \t]{0,3}", mut bytes in proptest::collection::vec(any::<u8>(), 0..60)
    ) {
        bytes.retain(|byte| *byte != b'\n');
        let line = [blanks.as_bytes(), b"#", &bytes, b"\n@daily x\n"].concat();
        for format in [Format::User, Format::System] {
            let errors = parse(&line, format).errors;
            prop_assert!(errors.iter().all(|error| error.line == 2), "{:?}", errors);
        }
        prop_assert_eq!(parse(&line, Format::User).entries.len(), 1);
    }

    #[test]
    fn one_field_or_option_too_many_is_refused_in_either_format(
        slip in slip(), time in "(@daily|@reboot|[0-9] [0-9] \\* \\* \\*)", command in "[a-z/][a-z/ ]{0,10}"
    ) {
        for (text, format) in [
            (format!("{time} {slip} {command}"), Format::User),
            (format!("{time} root {slip} {command}"), Format::System),
            (format!("{time} {slip} root {command}"), Format::System),
        ] {
            let file = parse(text.as_bytes(), format);
            prop_assert_eq!((file.entries.len(), file.errors.len()), (0, 1), "{}", text);
        }
    }

    #[test]
    fn a_colon_before_a_zone_means_nothing(zone in "(UTC|Europe/Berlin|Asia/Tokyo|Nowhere|)", quoted in any::<bool>()) {
        let quote = if quoted { "\"" } else { "" };
        let with = |colon: &str| {
            let text = format!("CRON_TZ={quote}{colon}{zone}{quote}\n@daily x\n");
            let file = parse(text.as_bytes(), Format::User);
            let zones: Vec<Option<String>> =
                file.entries.iter().map(|entry| entry.zone.as_ref().map(|zone| zone.name().to_owned())).collect();
            (zones, file.errors)
        };
        prop_assert_eq!(with(""), with(":"));
    }

    /// Lines with a user, and others that are refused in either format: no such file is a user's.
    #[test]
    fn a_system_crontab_is_never_taken_for_a_users(
        users in proptest::collection::vec("(root|munin|openwrt|user@corp|www-data)", 1..6),
        refused in proptest::collection::vec("(0 5 \\* \\*|\\* \\* \\* \\* \\* \\* root x|61 \\* \\* \\* \\* root|@daily)", 0..3),
        root_at in 0_usize..6,
    ) {
        let mut lines: Vec<String> = users.iter().map(|user| format!("0 5 * * * {user} if [ -x a ]; then a; fi")).collect();
        let root_at = root_at.min(lines.len());
        lines.insert(root_at, "17 * * * * root cd / && run-parts x".to_owned());
        lines.extend(refused);
        let found = Format::detect("some/file", &lines.join("\n"), machine(&|word| word == "www-data"));
        prop_assert_eq!(found, Ok(Format::System));
    }

    /// Edits of a file, line by line: the schedules that go and the lines that are new are as many
    /// as they must be, no id is given twice, and what did not change keeps its own.
    #[test]
    fn following_a_file_keeps_every_line_that_is_still_there(
        before in proptest::collection::vec(("[ab]", "[xyz]"), 0..7),
        after in proptest::collection::vec(("[ab]", "[xyz]"), 0..7),
    ) {
        let lines = |pairs: &[(String, String)]| -> Vec<Line> {
            pairs.iter().map(|(timing, content)| Line { timing: timing.clone(), content: content.clone() }).collect()
        };
        let (before, after) = (lines(&before), lines(&after));
        let first = follow("p", &FileLabel::of_name("f"), &before, &[]).ids;
        let known: Vec<Known> =
            first.iter().zip(&before).map(|(id, line)| Known { id: id.clone(), line: line.clone() }).collect();
        let followed = follow("p", &FileLabel::of_name("f"), &after, &known);
        let distinct: std::collections::BTreeSet<_> = followed.ids.iter().chain(&followed.gone).collect();
        prop_assert_eq!(distinct.len(), followed.ids.len() + followed.gone.len());
        prop_assert_eq!(followed.ids.len(), after.len());
        let kept = followed.ids.iter().filter(|id| first.contains(id)).count();
        prop_assert_eq!(kept + followed.gone.len(), first.len());
        for line in &after {
            let count = |lines: &[Line]| lines.iter().filter(|other| *other == line).count();
            let same = followed.ids.iter().zip(&after).filter(|(id, now)| {
                *now == line && known.iter().any(|known| known.id == **id && known.line == **now)
            });
            prop_assert_eq!(same.count(), count(&before).min(count(&after)));
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for format in [Format::User, Format::System] {
            let file = parse(&bytes, format);
            let lines = bytes.split(|byte| *byte == b'\n').count();
            prop_assert!(file.entries.len() + file.errors.len() <= lines);
        }
    }

    #[test]
    fn text_that_looks_like_a_crontab_is_read_without_a_panic(
        text in "(([0-9*/,%\\\\@=\"' \t#-]|[a-zé]|\r|\n|\\* |CRON_TZ=|@reboot |root ){0,60})"
    ) {
        for format in [Format::User, Format::System] {
            let file = parse(text.as_bytes(), format);
            for error in &file.errors {
                let line = text.strip_prefix('\u{feff}').unwrap_or(&text).split('\n').nth(error.line - 1).expect("a line of the text");
                prop_assert!(error.column >= 1 && error.column <= line.chars().count() + 1, "{} in {:?}", error, line);
            }
            let _ = Format::detect("x", &text, machine(&|word| word == "root"));
        }
    }

    #[test]
    fn well_formed_lines_come_back_as_they_were_written(
        minute in 0_u8..60, hour in 0_u8..24, command in "[a-z/][a-z/ .=]{0,30}[a-z]", user in "[a-z][a-z0-9-]{0,10}"
    ) {
        let text = format!("{minute} {hour} * * * {user} {command}");
        let file = parse(text.as_bytes(), Format::System);
        prop_assert_eq!(file.errors.len(), 0);
        prop_assert_eq!(timing(&file.entries[0]), format!("{minute} {hour} * * *"));
        prop_assert_eq!(file.entries[0].user.as_deref(), Some(user.as_str()));
        prop_assert_eq!(&file.entries[0].command, &command);
    }
}
