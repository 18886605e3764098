//! Where records go: the log, files that tell the state, a hook, a service manager. One that fails never delays another.

mod hook;
pub mod log;
mod metrics;
mod service_manager;
mod state_file;

pub use self::log::{Format, Verbosity};
pub use service_manager::feeding_interval;

use self::hook::Hook;
use self::log::Log;
use self::service_manager::ServiceManager;
use self::state_file::StateFiles;
use crate::options::Settings;
use crate::report::{Sink, Troubles};

/// All that the settings ask for.
///
/// # Errors
/// That a file cannot be written, in one line.
pub fn open(settings: &Settings, troubles: &Troubles) -> Result<Vec<Box<dyn Sink>>, String> {
    let log = Log::start(settings.verbosity, settings.format, troubles);
    let mut sinks: Vec<Box<dyn Sink>> = vec![Box::new(log)];
    if let Some(files) = StateFiles::begin(settings, troubles)? {
        sinks.push(Box::new(files));
    }
    if let Some(queue) = &settings.hook_queue {
        sinks.push(Box::new(Hook::new(queue.clone())));
    }
    if let Some(manager) = ServiceManager::find(settings, troubles) {
        sinks.push(Box::new(manager));
    }
    Ok(sinks)
}
