//! Relative links in Markdown.

/// Links whose target `exists` denies, each as the rest of a line that begins with the file's name.
pub(super) fn broken(text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut problems = Vec::new();
    let mut in_code = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for target in targets(line) {
            let file = target.split('#').next().unwrap_or_default();
            if !is_elsewhere(target) && !file.is_empty() && !exists(file) {
                problems.push(format!(":{}: the link `{target}` leads to no file", number + 1));
            }
        }
    }
    problems
}

/// Targets of the inline links `[text](target)` of a line; a title after the target is not part of it.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')')?.0.split_whitespace().next())
}

/// Not a file of this repository.
fn is_elsewhere(target: &str) -> bool {
    ["http://", "https://", "mailto:"].iter().any(|scheme| target.starts_with(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Vec<String> {
        broken(text, |file| file == "docs/here.md")
    }

    #[test]
    fn links_to_files_that_exist_and_to_other_sites_pass() {
        assert!(
            check("[a](docs/here.md), [b](docs/here.md#part \"title\"), [c](#part), [d](https://x.example/)")
                .is_empty()
        );
    }

    #[test]
    fn a_broken_link_is_named_with_its_line() {
        assert_eq!(check("\n[a](docs/gone.md#part)"), [":2: the link `docs/gone.md#part` leads to no file"]);
    }

    #[test]
    fn code_blocks_are_not_searched() {
        assert!(check("```rust\nlet x = map[0](arg);\n```\n").is_empty());
    }
}
