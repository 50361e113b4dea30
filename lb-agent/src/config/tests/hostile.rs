//! Text that is no config: broken syntax, YAML that we leave out, input made to hurt.

use std::{fmt::Write, time::Instant};

use proptest::{prelude::*, sample};
use rstest::rstest;

use super::*;

#[rstest]
#[case::empty("", &["1:1: the file holds no config; start from an example in configs/"])]
#[case::only_comments("# role: ingress\n", &["1:1: the file holds no config; start from an example in configs/"])]
#[case::not_a_mapping("- role", &[
    "1:1: the config is written as `key: value`, this is a list; write its keys indented below, or as \
     `{key: value, ...}`",
])]
#[case::open_bracket("role: [ingress\n", &[
    "1:7: this is not YAML: unclosed bracket '['; correct the syntax here or just above \
     (indentation, brackets, quotes)",
])]
#[case::tab("role: ingress\ninterfaces:\n\t- name: eth0\n", &[
    "3:2: this is not YAML: tabs disallowed within this context (block indentation); correct the syntax here or just \
     above (indentation, brackets, quotes)",
])]
fn text_that_is_no_config_is_reported(#[case] text: &str, #[case] expected: &[&str]) {
    assert_eq!(errors(text), expected);
}

#[rstest]
#[case::alias_and_anchor("level: debug", "level: &level debug\n  format: *level", &[
    "44:17: anchors (`&name`) are not supported; remove it and write values out",
    "45:11: aliases (`*name`) are not supported; write the value out",
])]
#[case::tag("level: debug", "level: !!str debug", &[
    "44:16: tags (`!name`) are not supported; remove it",
])]
#[case::second_document("level: debug", "level: debug\n---\nrole: backend", &[
    "45:1: a second document begins here; keep one document in the file",
])]
#[case::list_as_a_key("level: debug", "[level]: debug", &[
    "44:3: a key must be a word; write `key: value`",
])]
fn yaml_that_a_config_does_not_need_is_refused(
    #[case] fragment: &str,
    #[case] changed: &str,
    #[case] expected: &[&str],
) {
    let good = INGRESS.replace("  format: json\n", "");
    let expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
    let shifted: Vec<_> = errors_after(&good, fragment, changed);
    assert_eq!(shifted, expected);
}

#[test]
fn a_bomb_of_aliases_is_refused_alias_by_alias() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..30 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{aliases}]").expect("writing to a string");
    }
    assert!(errors(&bomb).iter().any(|error| error.contains("aliases (`*name`) are not supported")));
}

#[test]
fn deep_nesting_is_refused() {
    for text in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000)] {
        let errors = errors(&text);
        assert!(errors.iter().any(|error| error.contains("this is not YAML: recursion limit exceeded")), "{errors:?}");
    }
}

#[rstest]
#[case::unknown_keys(|index| format!("key{index}: 1\n"))]
#[case::list_elements(|_| "- x\n".to_owned())]
#[case::one_long_word(|_| "word".to_owned())]
#[case::open_quotes(|_| "\"\n".to_owned())]
#[case::misspelt_pools(|index| format!("- {{name: v{index}, backends: p{index}}}\n"))]
fn a_large_file_is_refused_in_bounded_time_with_bounded_output(#[case] part: fn(usize) -> String) {
    let mut text = String::from("vips:\n");
    while text.len() < 1 << 20 {
        text.push_str(&part(text.len()));
    }
    let start = Instant::now();
    let errors = errors(&text);
    assert!((1..=1001).contains(&errors.len()), "{} errors", errors.len());
    assert!(start.elapsed() < Duration::from_secs(20), "{:?} for 1 MiB", start.elapsed());
}

/// Pieces of configs in any order, so that the schema is reached and not only the YAML parser.
fn pieces() -> impl Strategy<Value = String> {
    let words = [
        "role",
        "ingress",
        "backend",
        "vips",
        "pools",
        "name",
        "address",
        "ports",
        "interfaces",
        "health_check",
        "type",
        "http",
        "interval",
        "192.0.2.1",
        "2001:db8::1",
        "10.0.0.0/8",
        "80",
        "99999999999",
        "5s",
        "\u{feff}",
        ": ",
        ":\n  ",
        "\n",
        "\n- ",
        "\n  - ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "'",
        "\"",
        "|",
        "&a ",
        "*a",
        "!t ",
        "# ",
        "\t",
    ];
    prop::collection::vec(sample::select(words.to_vec()), 0..60).prop_map(|words| words.concat())
}

/// A good config with some characters replaced, removed or repeated.
fn mutated() -> impl Strategy<Value = String> {
    let change = (any::<sample::Index>(), any::<char>(), 0_u8..3);
    (sample::select(vec![INGRESS, BACKEND]), prop::collection::vec(change, 1..6)).prop_map(|(good, changes)| {
        let mut text: Vec<char> = good.chars().collect();
        for (place, character, kind) in changes {
            let place = place.index(text.len());
            match kind {
                0 => text[place] = character,
                1 => drop(text.remove(place)),
                _ => text.insert(place, text[place]),
            }
        }
        text.into_iter().collect()
    })
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in prop_oneof![any::<String>(), pieces(), mutated()]) {
        if let Err(diagnostics) = parse(&text) {
            prop_assert!(!diagnostics.is_empty());
            prop_assert!(diagnostics.is_sorted_by_key(|diagnostic| (diagnostic.line, diagnostic.column)));
            for diagnostic in diagnostics {
                let line = diagnostic.to_string();
                prop_assert!(!line.contains('\n'), "{line:?} is more than one line");
                prop_assert!(diagnostic.line >= 1 && diagnostic.column >= 1);
            }
        }
    }
}
