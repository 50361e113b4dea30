//! From YAML text to a tree in which everything knows its place.
//!
//! A subset of YAML: one document, keys are scalars, no anchors, aliases or tags. A config needs none of these, and
//! aliases would let a small file stand for a tree that fills the memory. Scalars stay text; what a field's text means
//! is the field's business, so `no` can be a name and `0x10` a number.

use std::collections::{HashMap, hash_map};

use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span};

use super::diagnostic::{Checked, Position, Report, Reported, quoted};

/// Collections within collections; the schema has five levels.
const MAX_DEPTH: usize = 32;

/// A value and its place.
#[derive(Debug)]
pub(super) struct Node {
    /// Where the value begins.
    pub(super) at: Position,
    /// The value.
    pub(super) value: Value,
}

/// What stands at a place.
#[derive(Debug)]
pub(super) enum Value {
    /// Nothing, `null` or `~`.
    Null,
    /// Text without quotes.
    Plain(String),
    /// Text in quotes, or a block of text.
    Quoted(String),
    /// A list.
    List(Vec<Node>),
    /// Keys with their values, each key once.
    Mapping(Vec<Entry>),
    /// Something whose error has been reported already.
    Refused(Reported),
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct Entry {
    /// The key.
    pub(super) key: String,
    /// Where the key stands.
    pub(super) key_at: Position,
    /// The value.
    pub(super) value: Node,
}

/// Reads the text's only document.
pub(super) fn read(text: &str, report: &mut Report) -> Checked<Node> {
    let mut options = granit_parser::options! {
        // Without this the parser would stop at a misspelt alias; it is told apart from no other alias.
        emit_unresolved_aliases: true,
        disallow_directives: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    options.set_emit_comments(false);
    let mut tree = Tree { open: Vec::new(), root: None, report };
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((event, span)) => tree.take(event, span),
            Err(error) => return Err(syntax_error(&error, tree.report)),
        }
    }
    let empty = |report: &mut Report| {
        let start = Position { line: 1, column: 1 };
        report.error(start, "the file holds no config", "start from an example in configs/")
    };
    match tree.root {
        None | Some(Node { value: Value::Null, .. }) => Err(empty(report)),
        Some(root) => Ok(root),
    }
}

fn syntax_error(error: &ScanError, report: &mut Report) -> Reported {
    let message = format!("this is not YAML: {}", error.info());
    report.error(
        position(error.marker()),
        message,
        "correct the syntax here or just above (indentation, brackets, quotes)",
    )
}

fn position(marker: &Marker) -> Position {
    // The parser counts columns from 0, and lines from 1 but for an error before the first character.
    Position { line: marker.line().max(1), column: marker.col() + 1 }
}

/// A tree that grows event by event.
struct Tree<'r> {
    /// Collections whose end has not come, outermost first.
    open: Vec<Open>,
    root: Option<Node>,
    report: &'r mut Report,
}

/// A collection whose end has not come.
enum Open {
    List { at: Position, items: Vec<Node> },
    Mapping { at: Position, entries: Vec<Entry>, places: HashMap<String, Position>, key: Key },
}

/// What a mapping waits for.
enum Key {
    /// A key.
    Next,
    /// The value of this key.
    Read(String, Position),
    /// A value to be dropped: its key was refused.
    Refused,
}

impl Tree<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) {
        let at = position(&span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_properties(at, anchor, tag.is_some());
                self.place(Node { at, value: scalar(text.into_owned(), style) });
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_properties(at, anchor, tag.is_some());
                self.open.push(Open::List { at, items: Vec::new() });
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_properties(at, anchor, tag.is_some());
                let (entries, places) = (Vec::new(), HashMap::new());
                self.open.push(Open::Mapping { at, entries, places, key: Key::Next });
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                let reported = self.report.error(at, "aliases (`*name`) are not supported", "write the value out");
                self.place(Node { at, value: Value::Refused(reported) });
            }
            Event::DocumentStart(..) if self.root.is_some() => {
                self.report.error(at, "a second document begins here", "keep one document in the file");
            }
            // The rest, now and in later versions of the parser, says nothing about the tree.
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd
            | Event::Anchor(..)
            | Event::Comment(..)
            | _ => {}
        }
    }

    fn refuse_properties(&mut self, at: Position, anchor: usize, tag: bool) {
        if anchor != 0 {
            self.report.error(at, "anchors (`&name`) are not supported", "remove it and write values out");
        }
        if tag {
            self.report.error(at, "tags (`!name`) are not supported", "remove it");
        }
    }

    fn close(&mut self) {
        let node = match self.open.pop() {
            Some(Open::List { at, items }) => Node { at, value: Value::List(items) },
            Some(Open::Mapping { at, entries, .. }) => Node { at, value: Value::Mapping(entries) },
            None => return,
        };
        self.place(node);
    }

    /// Puts a finished node where it belongs: into the innermost open collection.
    fn place(&mut self, node: Node) {
        match self.open.last_mut() {
            // What follows the first document has been reported.
            None => {
                self.root.get_or_insert(node);
            }
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Mapping { entries, places, key, .. }) => match std::mem::replace(key, Key::Next) {
                Key::Next => *key = read_key(node, places, self.report),
                Key::Read(name, key_at) => entries.push(Entry { key: name, key_at, value: node }),
                Key::Refused => {}
            },
        }
    }
}

fn read_key(node: Node, places: &mut HashMap<String, Position>, report: &mut Report) -> Key {
    let at = node.at;
    let name = match node.value {
        Value::Plain(name) | Value::Quoted(name) => name,
        Value::Refused(_) => return Key::Refused,
        Value::Null | Value::List(_) | Value::Mapping(_) => {
            report.error(at, "a key must be a word", "write `key: value`");
            return Key::Refused;
        }
    };
    match places.entry(name.clone()) {
        hash_map::Entry::Vacant(entry) => {
            entry.insert(at);
            Key::Read(name, at)
        }
        hash_map::Entry::Occupied(first) => {
            let message = format!("key {} stands here twice, first in line {}", quoted(&name), first.get().line);
            report.error(at, message, "keep one of the two");
            Key::Refused
        }
    }
}

fn scalar(text: String, style: ScalarStyle) -> Value {
    match style {
        ScalarStyle::Plain if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL") => Value::Null,
        ScalarStyle::Plain => Value::Plain(text),
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted | ScalarStyle::Literal | ScalarStyle::Folded => {
            Value::Quoted(text)
        }
    }
}
