//! All who watch, on threads that yield to those of the bots: on one machine they must not measure each other.

use std::sync::Arc;

use cadastre_client::{Client, Config, Event, Viewport};
use cadastre_protocol::{EnterAs, RoomName};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

use super::super::{
    CliError,
    connect::{Server, display_name, throw_away_identity},
};
use super::{
    figures::Figures,
    spectator::Spectator,
    table::{Course, Table},
};

/// Spectators that enter at the same time.
const ENTERING_MAX: usize = 32;

/// How far the threads of spectators stand behind others.
const NICENESS: i32 = 19;

/// How many of each kind watch a room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Muster {
    pub(super) verifying: u32,
    pub(super) counting: u32,
    pub(super) stalled: u32,
}

impl Muster {
    pub(super) fn len(&self) -> usize {
        usize::try_from(self.verifying + self.counting + self.stalled).unwrap_or(usize::MAX)
    }

    /// Each of them.
    fn kinds(self) -> impl Iterator<Item = Kind> {
        let all = [
            (Kind::Verifying, self.verifying),
            (Kind::Counting, self.counting),
            (Kind::Stalled, self.stalled),
        ];
        all.into_iter().flat_map(|(kind, count)| (0..count).map(move |_| kind))
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Verifying,
    Counting,
    Stalled,
}

pub(super) struct Crowd {
    server: Server,
    muster: Muster,
    figures: Arc<Figures>,
    threads: Option<Runtime>,
    watching: JoinSet<()>,
}

/// What one spectator needs to know.
struct Place {
    server: Server,
    room: RoomName,
    course: Arc<Course>,
    figures: Arc<Figures>,
    entering: Arc<Semaphore>,
    /// To say that it is there.
    there: mpsc::Sender<()>,
}

impl Crowd {
    pub(super) fn new(server: Server, muster: Muster, figures: Arc<Figures>) -> Result<Self, CliError> {
        let threads = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("spectators")
            // Where that is not allowed, bots and spectators have the same right to the processor.
            .on_thread_start(|| {
                let _ = rustix::process::nice(NICENESS);
            })
            .enable_all()
            .build();
        let threads = threads.map_err(|error| CliError::failed(format!("cannot start threads: {error}")))?;
        Ok(Self { server, muster, figures, threads: Some(threads), watching: JoinSet::new() })
    }

    /// Lets all of them enter all rooms, and waits until they are there.
    pub(super) async fn gather(&mut self, tables: &[Table]) -> Result<(), CliError> {
        let threads = self.threads.as_ref().ok_or_else(|| CliError::failed("no threads"))?;
        let entering = Arc::new(Semaphore::new(ENTERING_MAX));
        let (there, mut arrivals) = mpsc::channel(1);
        for table in tables {
            for kind in self.muster.kinds() {
                let place = Place {
                    server: self.server.clone(),
                    room: table.room.clone(),
                    course: table.course.clone(),
                    figures: self.figures.clone(),
                    entering: entering.clone(),
                    there: there.clone(),
                };
                self.watching.spawn_on(watch(kind, place), threads.handle());
            }
        }
        drop(there);
        let mut missing = tables.len() * self.muster.len();
        while missing > 0 {
            arrivals.recv().await.ok_or_else(|| CliError::failed("a spectator cannot enter"))?;
            missing -= 1;
        }
        Ok(())
    }

    /// Sends all away.
    pub(super) async fn disperse(&mut self) {
        self.watching.shutdown().await;
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}

/// Watches for as long as it is let, and comes back whenever the server parts with it.
async fn watch(kind: Kind, place: Place) {
    if let Kind::Verifying = kind {
        return verify(place).await;
    }
    let Place { server, room, figures, entering, there, .. } = place;
    let mut there = Some(there);
    loop {
        let entered = {
            let Ok(_one) = entering.acquire().await else { return };
            Spectator::enter(&server, &room, matches!(kind, Kind::Stalled)).await
        };
        let spectator = match entered {
            Ok(spectator) => spectator,
            Err(error) => {
                figures.fail("spectator-not-entered", &error);
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                continue;
            }
        };
        if let Some(there) = there.take() {
            // Whoever counts the arrivals may have given up.
            let _ = there.send(()).await;
        }
        match kind {
            Kind::Stalled => {
                spectator.stall().await;
                figures.fail("stalled-parted-with", "");
            }
            Kind::Verifying | Kind::Counting => {
                let why = spectator.read(&figures).await;
                figures.fail("spectator-lost", &why);
            }
        }
    }
}

/// Watches as `cadastre watch --light` does.
async fn verify(place: Place) {
    let Place { server, room, course, figures, there, .. } = place;
    let (Ok(identity), Ok(process)) = (throw_away_identity(), throw_away_identity()) else { return };
    let name = display_name("spectator");
    let config =
        Config { identity, process, room, enter_as: EnterAs::Light, name, open: None, credential: None };
    let mut client = Client::new(server.url, server.trust, config);
    client.watch(Viewport::All);
    let mut there = Some(there);
    loop {
        let event = match client.next().await {
            Ok(event) => event,
            Err(error) => return figures.fail("spectator-distrusts", &error.to_string()),
        };
        if let Event::Shown { header } = event {
            course.shown(header.turn);
            figures.opened();
            if let Some(there) = there.take() {
                let _ = there.send(()).await;
            }
        } else if let Event::Lost { reason } = event {
            figures.fail("spectator-lost", &reason);
        }
    }
}
