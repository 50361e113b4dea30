//! Documented constants of a Rust file, read from its text: names, values and what their doc comments say.

/// A line `pub const NAME: TYPE = VALUE;` with the doc comment above it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Constant {
    pub(super) name: String,
    /// Without quotes and digit separators.
    pub(super) value: String,
    /// The doc comment on one line, links reduced to their text.
    pub(super) meaning: String,
}

/// The constants of a module, `pub mod NAME { ... }` at the top level, or of the file's own top level.
pub(super) fn constants(source: &str, module: Option<&str>) -> Vec<Constant> {
    let mut found = Vec::new();
    let mut docs = Vec::new();
    let mut inside = None;
    for line in source.lines() {
        if let Some(name) = line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(" {")) {
            inside = Some(name);
        } else if line == "}" {
            inside = None;
        }
        if let Some(doc) = line.trim_start().strip_prefix("///") {
            docs.push(doc.trim());
            continue;
        }
        let docs = std::mem::take(&mut docs);
        if inside == module
            && let Some((name, value)) = parse(line)
        {
            found.push(Constant { name, value, meaning: docs.join(" ").replace("[`", "`").replace("`]", "`") });
        }
    }
    found
}

fn parse(line: &str) -> Option<(String, String)> {
    let (name, rest) = line.trim_start().strip_prefix("pub const ")?.split_once(": ")?;
    let (_, value) = rest.strip_suffix(';')?.split_once(" = ")?;
    Some((name.to_owned(), value.trim_matches('"').replace('_', if value.starts_with('"') { "_" } else { "" })))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\
/// Entries of the table,
/// see [`crate::ring`].
pub const MAX: u32 = 131_072;

/// Names.
pub mod map {
    /// `Array<u32>`: things.
    pub const MAP_ONE: &str = \"MAP_ONE\";
}

pub mod other {
    pub const TWO: u32 = 2;
}
";

    fn constant(name: &str, value: &str, meaning: &str) -> Constant {
        Constant { name: name.into(), value: value.into(), meaning: meaning.into() }
    }

    #[test]
    fn constants_of_the_top_level_come_with_what_their_docs_say() {
        let expected = constant("MAX", "131072", "Entries of the table, see `crate::ring`.");
        assert_eq!(constants(SOURCE, None), [expected]);
    }

    #[test]
    fn constants_of_one_module_come_alone() {
        assert_eq!(constants(SOURCE, Some("map")), [constant("MAP_ONE", "MAP_ONE", "`Array<u32>`: things.")]);
    }
}
