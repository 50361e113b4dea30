//! Writing: data to stdout in the chosen format, words to stderr.

use std::{
    fmt,
    io::{self, Write},
};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::args::Format;

/// Whoever read our output has closed it: `lbctl vip list | head -1` is done.
#[derive(Debug, thiserror::Error)]
#[error("the reader of the output is gone")]
pub(crate) struct ReaderGone;

/// Prints a line to stderr. Nobody is left to tell where that fails.
pub(crate) fn say(words: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{words}");
}

/// Prints a document to stdout: as it is for machines, or by `table`, whose last argument asks for more columns.
pub(crate) fn document<T: Serialize + ?Sized>(
    format: Format,
    document: &T,
    table: impl FnOnce(&mut dyn Write, &T, bool) -> io::Result<()>,
) -> Result<()> {
    let mut text = Vec::new();
    render(&mut text, format, document, table)?;
    stdout(&text)
}

/// Prints a document to stdout as one line of JSON.
pub(crate) fn json_line<T: Serialize>(document: &T) -> Result<()> {
    let mut line = serde_json::to_vec(document).context("cannot print JSON")?;
    line.push(b'\n');
    stdout(&line)
}

/// Writes to stdout as a whole.
pub(crate) fn stdout(text: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        written => written.context("cannot write to standard output"),
    }
}

fn render<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    format: Format,
    document: &T,
    table: impl FnOnce(&mut dyn Write, &T, bool) -> io::Result<()>,
) -> Result<()> {
    match format {
        Format::Table => table(out, document, false).context("cannot print a table"),
        Format::Wide => table(out, document, true).context("cannot print a table"),
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, document).context("cannot print JSON")?;
            out.push(b'\n');
            Ok(())
        }
        Format::Yaml => {
            let yaml = serde_saphyr::to_string(&document).context("cannot print YAML")?;
            out.extend_from_slice(yaml.as_bytes());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn rendered(format: Format) -> String {
        let document = BTreeMap::from([("address", "2001:db8::10"), ("protocol", "tcp")]);
        let mut text = Vec::new();
        render(&mut text, format, &document, |out, document, wide| writeln!(out, "{} {wide}", document.len()))
            .expect("memory takes everything");
        String::from_utf8(text).expect("text")
    }

    #[test]
    fn every_format_ends_with_the_line() {
        assert_eq!(rendered(Format::Table), "2 false\n");
        assert_eq!(rendered(Format::Wide), "2 true\n");
        assert_eq!(rendered(Format::Json), "{\n  \"address\": \"2001:db8::10\",\n  \"protocol\": \"tcp\"\n}\n");
        assert_eq!(rendered(Format::Yaml), "address: 2001:db8::10\nprotocol: tcp\n");
    }
}
