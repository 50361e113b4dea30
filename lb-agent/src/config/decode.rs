//! Reading lists and the fields of mappings, without stopping at the first error.

use super::{
    diagnostic::{Checked, Located, Position, Report, Reported, quoted},
    yaml::{Entry, Node, Value},
};

/// Elements of a list: each stands for itself, so that one bad element hides nothing about the others.
pub(super) type Elements<T> = Vec<Checked<Located<T>>>;

/// A list and where it begins.
pub(super) type List<T> = Located<Elements<T>>;

/// Longest word, in bytes, that is compared with the known ones.
const MAX_COMPARED: usize = 40;

/// The fields of one mapping. What has been asked for is known; [`Fields::finish`] reports the rest.
pub(super) struct Fields<'a> {
    /// What the mapping describes, with its article, for messages.
    what: &'static str,
    at: Position,
    entries: &'a [Entry],
    known: Vec<&'static str>,
    report: &'a mut Report,
}

impl<'a> Fields<'a> {
    /// The fields of `node`, which must be a mapping.
    pub(super) fn of(node: &'a Node, what: &'static str, report: &'a mut Report) -> Checked<Self> {
        match &node.value {
            Value::Mapping(entries) => Ok(Self { what, at: node.at, entries, known: Vec::new(), report }),
            Value::Refused(reported) => Err(*reported),
            Value::Null | Value::Plain(_) | Value::Quoted(_) | Value::List(_) => {
                let message = format!("{what} is written as `key: value`, this is {}", kind(node));
                Err(report.error(node.at, message, "write its keys indented below, or as `{key: value, ...}`"))
            }
        }
    }

    /// A field that must be there.
    pub(super) fn required<T>(
        &mut self,
        name: &'static str,
        decode: impl FnOnce(&Node, &mut Report) -> Checked<T>,
    ) -> Checked<Located<T>> {
        self.optional(name, decode)?.ok_or_else(|| {
            let message = format!("{} needs the key `{name}`, which is missing", self.what);
            self.report.error(self.at, message, format!("add `{name}`"))
        })
    }

    /// A field that may be absent.
    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        decode: impl FnOnce(&Node, &mut Report) -> Checked<T>,
    ) -> Checked<Option<Located<T>>> {
        self.known.push(name);
        let Some(entry) = self.entries.iter().find(|entry| entry.key == name) else { return Ok(None) };
        let node = &entry.value;
        if matches!(node.value, Value::Null) {
            let message = format!("`{name}` has no value");
            return Err(self.report.error(entry.key_at, message, "give it one or remove the key"));
        }
        // A list is known by its key: its own place is that of its first element.
        let at = if matches!(node.value, Value::List(_)) { entry.key_at } else { node.at };
        decode(node, self.report).map(|value| Some(Located { at, value }))
    }

    /// A field that may be absent and whose place does not matter.
    pub(super) fn or<T>(
        &mut self,
        name: &'static str,
        default: T,
        decode: impl FnOnce(&Node, &mut Report) -> Checked<T>,
    ) -> Checked<T> {
        Ok(self.optional(name, decode)?.map_or(default, |located| located.value))
    }

    /// A field that exists but has no place in this mapping, because of what else it holds.
    pub(super) fn refuse(&mut self, name: &'static str, why: &str, remedy: &str) {
        if let Some(entry) = self.entries.iter().find(|entry| entry.key == name) {
            self.report.error(entry.key_at, format!("`{name}` {why}"), remedy);
        }
        self.known.push(name);
    }

    /// Reports every key that was not asked for.
    pub(super) fn finish(self) {
        for entry in self.entries {
            if !self.known.contains(&entry.key.as_str()) {
                self.report.error_with(entry.key_at, || {
                    let message = format!("{} has no key {}", self.what, quoted(&entry.key));
                    (message, suggestion(&entry.key, &self.known))
                });
            }
        }
    }

    /// Notes an error that concerns several fields.
    pub(super) fn error(&mut self, at: Position, message: impl Into<String>, remedy: impl Into<String>) -> Reported {
        self.report.error(at, message, remedy)
    }
}

/// The elements of `node`, which must be a list with at least one.
pub(super) fn list<T>(
    node: &Node,
    report: &mut Report,
    mut decode: impl FnMut(&Node, &mut Report) -> Checked<T>,
) -> Checked<Elements<T>> {
    match &node.value {
        Value::List(items) if items.is_empty() => {
            Err(report.error(node.at, "this list is empty", "add an element, or remove what needs none"))
        }
        Value::List(items) => {
            Ok(items.iter().map(|item| decode(item, report).map(|value| Located { at: item.at, value })).collect())
        }
        Value::Refused(reported) => Err(*reported),
        Value::Null | Value::Plain(_) | Value::Quoted(_) | Value::Mapping(_) => {
            let message = format!("this must be a list, and is {}", kind(node));
            Err(report.error(node.at, message, "write `[a, b]`, or one element a line after `- `"))
        }
    }
}

/// The text of `node`, quoted or not.
pub(super) fn text<'n>(node: &'n Node, report: &mut Report) -> Checked<&'n str> {
    match &node.value {
        Value::Plain(text) | Value::Quoted(text) => Ok(text),
        Value::Refused(reported) => Err(*reported),
        Value::Null | Value::List(_) | Value::Mapping(_) => {
            let message = format!("this must be a single value, and is {}", kind(node));
            Err(report.error(node.at, message, "write one value"))
        }
    }
}

/// The text of `node` where it stands for a number or a truth value: quotes would make it text.
pub(super) fn bare<'n>(node: &'n Node, what: &str, report: &mut Report) -> Checked<&'n str> {
    match &node.value {
        Value::Quoted(text) => {
            let message = format!("this must be {what}, and is text in quotes: {}", quoted(text));
            Err(report.error(node.at, message, "remove the quotes"))
        }
        Value::Null | Value::Plain(_) | Value::List(_) | Value::Mapping(_) | Value::Refused(_) => text(node, report),
    }
}

/// What a reader who knows `known` probably meant by `word`, as a remedy.
pub(super) fn suggestion(word: &str, known: &[&str]) -> String {
    match closest(word, known) {
        Some(close) => format!("did you mean `{close}`?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// The word that `word` is a likely misspelling of: two thirds of it are right.
pub(super) fn closest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    if word.len() > MAX_COMPARED {
        return None;
    }
    let word = word.to_lowercase();
    let (distance, close) = known.iter().map(|known| (strsim::osa_distance(&word, known), *known)).min()?;
    (distance <= close.len() / 3).then_some(close)
}

fn kind(node: &Node) -> &'static str {
    match node.value {
        Value::Null => "empty",
        Value::Plain(_) | Value::Quoted(_) => "a single value",
        Value::List(_) => "a list",
        Value::Mapping(_) => "a mapping (`key: value`)",
        Value::Refused(_) => "not readable",
    }
}
