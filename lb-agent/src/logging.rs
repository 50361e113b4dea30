//! Structured logs on standard error.

use std::{
    env,
    io::{self, IsTerminal},
};

use anyhow::{Context, Result};
use tracing_subscriber::{
    filter::LevelFilter, fmt, layer::SubscriberExt, registry::Registry, reload, util::SubscriberInitExt,
};

use crate::config::{Log, LogFormat};

/// Changes the level of the running logger.
#[derive(Clone, Debug)]
pub struct LevelHandle(reload::Handle<LevelFilter, Registry>);

impl LevelHandle {
    /// From here on, events below `level` are left out.
    pub fn set(&self, level: tracing::Level) {
        // Fails only when the subscriber is gone, and then nothing is logged anyway.
        let _ = self.0.reload(LevelFilter::from_level(level));
    }
}

/// Starts logging. May be called once.
pub fn start(log: Log) -> Result<LevelHandle> {
    let (level, handle) = reload::Layer::new(LevelFilter::from_level(log.level));
    let subscriber = tracing_subscriber::registry().with(level);
    // Colour is for people: not for the journal, not for files (https://no-color.org).
    let colour = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let started = match log.format {
        LogFormat::Text => subscriber.with(fmt::layer().with_ansi(colour).with_writer(io::stderr)).try_init(),
        LogFormat::Json => subscriber.with(fmt::layer().json().with_writer(io::stderr)).try_init(),
    };
    started.context("cannot start logging")?;
    Ok(LevelHandle(handle))
}
