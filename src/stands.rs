//! Threads on which those who watch are served. However many they are, those who play have the other threads to
//! themselves, and the processor first.

use std::io;

use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::JoinSet,
};
use tracing::{Instrument, Span};

/// How far these threads stand behind all others: a tenth of the processor is theirs also when it is busy.
const NICENESS: i32 = 10;

/// The threads. They end with their owner, and so does what they do.
#[derive(Debug)]
pub(crate) struct Stands(Option<Runtime>);

impl Stands {
    /// Starts one thread for every two processors.
    pub(crate) fn open() -> io::Result<Self> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = Builder::new_multi_thread()
            .worker_threads(processors.div_ceil(2))
            .thread_name("stands")
            .on_thread_start(|| {
                // Where that is not allowed, those who watch only have threads of their own.
                let _ = rustix::process::nice(NICENESS);
            })
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Does something on these threads; it ends with whoever waits for it. `None` if it came to no end.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let mut one = JoinSet::new();
        one.spawn_on(work.instrument(Span::current()), self.handle()?);
        one.join_next().await?.ok()
    }

    /// Begins something on these threads that ends by itself. `false` if there are none any more.
    pub(crate) fn begin(&self, work: impl Future<Output = ()> + Send + 'static) -> bool {
        self.handle().map(|threads| threads.spawn(work)).is_some()
    }

    fn handle(&self) -> Option<&Handle> {
        self.0.as_ref().map(Runtime::handle)
    }
}

impl Drop for Stands {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // The last one who needs them may be a task, which must not wait for threads.
            runtime.shutdown_background();
        }
    }
}
