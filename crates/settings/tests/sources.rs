//! Where values come from, and how what is wrong is said.

use minutehand_settings::{Names, Origin, Secret, SettingsError, Sources, json_schema, markdown};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Everything.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Tree {
    /// Makes bread.
    oven: Oven,
    /// Sells it.
    shop: Shop,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Oven {
    /// How hot it is.
    #[schemars(range(min = 50, max = 50 * 6))]
    degrees: u32,
    /// Whether its door
    /// is open.
    is_open: bool,
    #[serde(skip)]
    inner: u32,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Shop {
    /// Where it is.
    street: Option<String>,
    /// What it sells.
    goods: Vec<String>,
    /// Doors that are open.
    #[schemars(inner(range(min = 1, max = 9)))]
    doors: Vec<u16>,
    /// How one pays.
    payment: Payment,
    /// What opens the safe.
    code: Option<Secret>,
    /// A file that holds it.
    code_file: Option<std::path::PathBuf>,
}

/// How one pays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Payment {
    /// With coins.
    #[default]
    InCash,
    /// With plastic.
    ByCard,
}

impl Default for Oven {
    fn default() -> Oven {
        Oven {
            degrees: 200,
            is_open: false,
            inner: 7,
        }
    }
}

const NAMES: Names = Names {
    short: &[("MINUTEHAND_STREET", "shop.street")],
    former: &[
        ("heat", "oven.degrees"),
        ("baker_*", "oven.*"),
        ("till.code", "shop.code"),
        ("gate", "oven.is_open"),
    ],
};

fn sources() -> Sources {
    Sources::of::<Tree>(NAMES)
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("written");
    file
}

fn environment(sources: &mut Sources, given: &[(&str, &str)]) -> Result<(), SettingsError> {
    sources.environment(
        given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    )
}

#[test]
fn a_later_source_wins_and_every_key_knows_its_origin() {
    let mut sources = sources();
    sources
        .fragment("[oven]\ndegrees = 220\nis_open = true", Origin::Profile)
        .expect("a profile");
    let file = file(
        "[oven]\ndegrees = 230\n[shop]\ngoods = [\"rye\", \"rolls\"]\ndoors = [1, 2]\npayment = \"by-card\"",
    );
    sources.file(file.path()).expect("a file");
    environment(
        &mut sources,
        &[
            ("MINUTEHAND_OVEN_DEGREES", "240"),
            ("MINUTEHAND_STREET", "Elm"),
        ],
    )
    .expect("variables");
    sources.flag("shop.goods", "rye, cake,").expect("a flag");
    let loaded = sources.load::<Tree>().expect("accepted");
    assert_eq!(
        (loaded.settings.oven.degrees, loaded.settings.oven.inner),
        (240, 7)
    );
    assert!(loaded.settings.oven.is_open);
    assert_eq!(loaded.settings.shop.goods, ["rye", "cake"]);
    assert_eq!(loaded.settings.shop.doors, [1, 2]);
    assert_eq!(loaded.settings.shop.street.as_deref(), Some("Elm"));
    assert_eq!(loaded.settings.shop.payment, Payment::ByCard);
    let origins = [
        "oven.is_open",
        "shop.payment",
        "oven.degrees",
        "shop.goods",
        "shop.code",
    ];
    let expected = [
        Origin::Profile,
        Origin::File,
        Origin::Environment,
        Origin::Flag,
        Origin::Default,
    ];
    assert_eq!(origins.map(|name| loaded.origin(name)), expected);
    assert!(loaded.warnings.is_empty());
}

#[test]
fn an_empty_text_takes_an_optional_value_away() {
    let mut sources = sources();
    sources
        .fragment("[shop]\nstreet = \"Elm\"", Origin::Profile)
        .expect("a profile");
    sources.flag("shop.street", "").expect("none");
    assert_eq!(
        sources
            .load::<Tree>()
            .expect("accepted")
            .settings
            .shop
            .street,
        None
    );
}

#[test]
fn what_is_refused_says_name_value_limit_and_place() {
    let flags = [
        (
            "oven.degrees",
            "9",
            "oven.degrees is \"9\"; it must be a whole number from 50 to 300",
        ),
        (
            "oven.is_open",
            "yes",
            "oven.is_open is \"yes\"; it must be true or false",
        ),
        (
            "shop.payment",
            "later",
            "shop.payment is \"later\"; it must be one of in-cash, by-card",
        ),
        (
            "shop.doors",
            "1,10",
            "shop.doors is \"1,10\"; it must be a list with commas, each a whole number from 1 to 9",
        ),
        (
            "shop.code",
            "a\0b",
            "shop.code is (hidden); it must be text without zero bytes",
        ),
        (
            "oven.degree",
            "9",
            "there is no setting \"oven.degree\"; did you mean oven.degrees?",
        ),
        ("oven.colour", "9", "there is no setting \"oven.colour\""),
    ];
    for (name, value, words) in flags {
        assert_eq!(
            sources().flag(name, value).expect_err(name).to_string(),
            words
        );
    }
    let files = [
        (
            "[ovne]\ndegrees = 60",
            "there is no section [ovne]; did you mean [oven]?",
        ),
        (
            "[cellar]\ndegrees = 60",
            "there is no section [cellar]; the sections are oven, shop",
        ),
        (
            "[oven]\ndegrees = 5",
            "oven.degrees is \"5\"; it must be a whole number from 50 to 300",
        ),
        ("[shop]\nstreet = 1.5", "shop.street is a float"),
        (
            "street = \"Elm\"",
            "street stands outside a section; the sections are oven, shop",
        ),
        ("degrees", "is not TOML"),
    ];
    for (text, words) in files {
        let file = file(text);
        let said = sources().file(file.path()).expect_err(text).to_string();
        assert!(
            said.starts_with(&*file.path().display().to_string()) && said.contains(words),
            "{said}"
        );
    }
    let said = environment(&mut sources(), &[("MINUTEHAND_OVEN_DEGREES", "5")])
        .expect_err("too cold")
        .to_string();
    assert_eq!(
        said,
        format!("MINUTEHAND_OVEN_DEGREES: {}", flags[0].2.replace('9', "5"))
    );
    let said = environment(&mut sources(), &[("MINUTEHAND_OVEN_DEGRES", "60")])
        .expect_err("misspelt")
        .to_string();
    assert_eq!(
        said,
        "there is no variable MINUTEHAND_OVEN_DEGRES; did you mean MINUTEHAND_OVEN_DEGREES?"
    );
    environment(
        &mut sources(),
        &[("MINUTEHAND_OVEN_PORT", "tcp://10.0.0.1:80")],
    )
    .expect("not ours");
}

#[test]
fn former_names_work_and_are_warned_of() {
    let mut sources = sources();
    let file = file("heat = 60\n[till]\ncode = \"1234\"");
    sources.file(file.path()).expect("accepted");
    environment(&mut sources, &[("MINUTEHAND_BAKER_DEGREES", "70")]).expect("accepted");
    sources.flag("gate", "true").expect("accepted");
    let loaded = sources.load::<Tree>().expect("accepted");
    assert_eq!(loaded.settings.oven.degrees, 70);
    assert!(loaded.settings.oven.is_open && loaded.settings.shop.code.is_some());
    let place = file.path().display();
    let expected = [
        format!("{place}: heat is now called oven.degrees"),
        format!("{place}: till.code is now called shop.code"),
        "MINUTEHAND_BAKER_DEGREES: baker_degrees is now called oven.degrees".to_owned(),
        "gate is now called oven.is_open".to_owned(),
    ];
    assert_eq!(loaded.warnings, expected);
}

#[test]
fn a_present_name_wins_over_a_former_one() {
    let mut sources = sources();
    sources
        .fragment("heat = 60\n[oven]\ndegrees = 70", Origin::Profile)
        .expect("accepted");
    let both = [("MINUTEHAND_OVEN_DEGREES", "90"), ("MINUTEHAND_HEAT", "80")];
    assert_eq!(
        sources
            .clone()
            .load::<Tree>()
            .expect("accepted")
            .settings
            .oven
            .degrees,
        70
    );
    environment(&mut sources, &both).expect("accepted");
    assert_eq!(
        sources
            .load::<Tree>()
            .expect("accepted")
            .settings
            .oven
            .degrees,
        90
    );
}

#[test]
fn secrets_are_shown_to_nobody_and_may_lie_in_a_file() {
    let mut sources = sources();
    sources.flag("shop.code", "canary").expect("accepted");
    let loaded = sources.load::<Tree>().expect("accepted");
    let shown = format!(
        "{loaded:?} {}",
        toml::to_string(&loaded.settings).expect("it is TOML")
    );
    assert!(
        !shown.contains("canary") && shown.contains("(hidden)"),
        "{shown}"
    );
    let (given, file) = (loaded.settings.shop.code, file("canary-from-file\n"));
    let of = |value, file| Secret::of("shop.code", value, file);
    let revealed = |secret: Option<Secret>| secret.map(|secret| secret.reveal().to_owned());
    assert_eq!(
        revealed(of(given.as_ref(), None).expect("itself")).as_deref(),
        Some("canary")
    );
    assert_eq!(
        revealed(of(None, Some(file.path())).expect("read")).as_deref(),
        Some("canary-from-file")
    );
    assert_eq!(of(None, None).expect("none"), None);
    let both = of(given.as_ref(), Some(file.path()))
        .expect_err("both")
        .to_string();
    assert_eq!(
        both,
        "shop.code and shop.code_file are both set; set one of them"
    );
    let gone = of(None, Some("/no/such".as_ref()))
        .expect_err("missing")
        .to_string();
    assert_eq!(gone, "could not read shop.code_file in /no/such");
}

#[test]
fn reference_and_schema_follow_from_the_types() {
    let fragment = "[oven]\ndegrees = 250\n";
    let document =
        markdown::<Tree>("# Settings", &[("summer", fragment)], NAMES).expect("rendered");
    for line in [
        "## `[oven]`\nMakes bread.\n",
        "| `degrees` | 50 to 300 | `200`; summer: `250` | How hot it is. |",
        "| `is_open` | `true`, `false` | `false` | Whether its door is open. |",
        "| `doors` | list of 1 to 9 | - | Doors that are open. |",
        "| `payment` | `in-cash`, `by-card` | `in-cash` | How one pays. |",
        "| `code` | secret | - | What opens the safe. |",
        "## `summer`\n```toml\n[oven]\ndegrees = 250\n```\n",
        "| `baker_*` | `oven.*` |",
    ] {
        assert!(document.contains(line), "{line} is missing in\n{document}");
    }
    assert!(!document.contains("inner"));
    let schema = json_schema::<Tree>();
    assert!(
        schema.contains("\"maximum\": 300") && !schema.contains("$ref"),
        "{schema}"
    );
}
