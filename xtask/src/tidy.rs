//! `cargo xtask tidy`: what compilers do not check. Generated docs match the code, quotes match their files, links lead
//! somewhere, every file says what lives in it and is short enough to read.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::workspace;

mod constants;
mod generated;
mod links;
mod quotes;
mod sources;

/// What to do about generated files.
#[derive(clap::Args, Clone, Copy)]
pub(crate) struct Options {
    /// Write the generated docs instead of comparing them.
    #[arg(long)]
    write: bool,
}

/// Checks everything and reports every problem before it fails.
pub(crate) fn run(options: Options) -> Result<()> {
    let root = workspace::root();
    let files = Files::of(root)?;
    let mut problems = Vec::new();
    for (path, text) in generated::documents(root)? {
        if options.write {
            write(&root.join(path), &text)?;
        } else if fs::read_to_string(root.join(path)).ok().as_deref() != Some(&text) {
            problems.push(format!("{path}: differs from the code; run `cargo xtask tidy --write`"));
        }
    }
    for path in files.with_extension("md") {
        let text = read(path)?;
        let broken = links::broken(&text, |target| path.with_file_name(target).exists());
        let differing = quotes::differing(&text, |file| fs::read_to_string(root.join(file)).ok());
        problems.extend(broken.into_iter().chain(differing).map(|problem| named(root, path, &problem)));
    }
    for path in files.with_extension("rs") {
        problems.extend(sources::problems(&read(path)?).into_iter().map(|problem| named(root, path, &problem)));
    }
    for problem in &problems {
        eprintln!("{problem}");
    }
    if !problems.is_empty() {
        bail!("problems found: {}; each line above names a file and the remedy", problems.len());
    }
    eprintln!("Docs, links and sources are in order.");
    Ok(())
}

fn named(root: &Path, path: &Path, problem: &str) -> String {
    format!("{}{problem}", path.strip_prefix(root).unwrap_or(path).display())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// All files of the workspace, in order, without what is built or hidden.
struct Files(Vec<PathBuf>);

impl Files {
    fn of(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        let mut directories = vec![root.to_owned()];
        while let Some(directory) = directories.pop() {
            let entries = fs::read_dir(&directory).with_context(|| format!("cannot list {}", directory.display()))?;
            for entry in entries {
                let path = entry.with_context(|| format!("cannot list {}", directory.display()))?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if name.starts_with('.') || path == root.join("target") {
                    continue;
                }
                if path.is_dir() { directories.push(path) } else { files.push(path) }
            }
        }
        files.sort();
        Ok(Self(files))
    }

    fn with_extension(&self, extension: &str) -> impl Iterator<Item = &PathBuf> {
        self.0.iter().filter(move |path| path.extension().is_some_and(|found| found == extension))
    }
}
