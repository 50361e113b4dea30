//! Code blocks in Markdown that quote a file: `<!-- Equal to PATH -->`, with PATH from the root, on the line above.

/// Quotes that differ from their file, each as the rest of a line that begins with the document's name. `read` gives the
/// text of a file.
pub(super) fn differing(text: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut problems = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(path) = line.strip_prefix("<!-- Equal to ").and_then(|rest| rest.strip_suffix(" -->")) else {
            continue;
        };
        // The line that opens the block.
        lines.next();
        let block = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
        let quote: String = block.flat_map(|line| [line, "\n"]).collect();
        match read(path) {
            Some(file) if file == quote => {}
            Some(_) => problems.push(format!(":{}: the block differs from {path}; make them equal", number + 1)),
            None => problems.push(format!(":{}: there is no file {path} to quote", number + 1)),
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Vec<String> {
        differing(text, |path| (path == "a.yaml").then(|| "one: 1\ntwo: 2\n".to_owned()))
    }

    #[test]
    fn a_block_that_equals_its_file_passes_and_others_quote_nothing() {
        assert!(check("<!-- Equal to a.yaml -->\n```yaml\none: 1\ntwo: 2\n```\n").is_empty());
        assert!(check("<!-- A comment -->\n```yaml\nthree: 3\n```\n").is_empty());
    }

    #[test]
    fn a_block_that_differs_or_quotes_no_file_is_named_with_its_line() {
        let differs = "<!-- Equal to a.yaml -->\n```yaml\none: 1\n```\n";
        assert_eq!(check(differs), [":1: the block differs from a.yaml; make them equal"]);
        assert_eq!(check("\n<!-- Equal to b.yaml -->\n"), [":2: there is no file b.yaml to quote"]);
    }
}
