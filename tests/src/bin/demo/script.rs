//! What happens when.

use std::time::Duration;

use anyhow::Result;

use crate::{stage::Stage, tally::Tally, view::View};

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
enum Event {
    KillAgent,
    KillServer,
    StartServer,
}

/// The events that are still to come, the next one last.
#[derive(Debug)]
pub(crate) struct Script {
    ahead: Vec<(Duration, Event)>,
}

impl Script {
    /// The agent dies after a quarter of the time, a server after half of it, to come back after three quarters.
    pub(crate) fn new(length: Duration) -> Self {
        let quarter = length / 4;
        Self {
            ahead: vec![
                (quarter * 3, Event::StartServer),
                (quarter * 2, Event::KillServer),
                (quarter, Event::KillAgent),
            ],
        }
    }

    /// Does what is due.
    pub(crate) fn advance(
        &mut self,
        elapsed: Duration,
        stage: &mut Stage,
        tally: &mut Tally,
        view: &mut View,
    ) -> Result<()> {
        let Some((_, event)) = self.ahead.pop_if(|(due, _)| *due <= elapsed) else { return Ok(()) };
        let news = match event {
            Event::KillAgent => {
                stage.kill_ingress_agent()?;
                "the load balancer's agent is killed with SIGKILL; the kernel goes on forwarding".to_owned()
            }
            Event::KillServer => {
                let name = stage.kill_server()?;
                tally.note_kill();
                format!("the server of {name} is killed")
            }
            Event::StartServer => {
                let name = stage.start_server()?;
                tally.note_return();
                format!("the server of {name} is started again")
            }
        };
        view.announce(elapsed, &news);
        Ok(())
    }
}
