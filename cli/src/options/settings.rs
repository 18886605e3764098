//! What the options come to, checked as far as it can be before anything is started.

use super::{Format, Hint, Options, Refusal, StateFileSettings, Verbosity, files, programs, usage};
use clap::ArgMatches;
use clap::parser::ValueSource;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;
use supervisor_backend_unix::{Command, Config, HookConfig, HookQueue, Notifications, ProbeConfig, Signal};
use supervisor_core::{Backoff, Jitter, OnHang, Policy, Watchdog};

/// Everything that the command line decides.
pub struct Settings {
    /// What this supervisor is called.
    pub name: String,
    pub policy: Policy,
    pub backend: Config,
    pub verbosity: Verbosity,
    pub format: Format,
    pub files: Vec<StateFileSettings>,
    /// What the hook of the backend is to be called for, where there is one.
    pub hook_queue: Option<HookQueue>,
    pub hints: Vec<Hint>,
}

/// Options that say how hangs are found or treated: without hang detection they mean nothing.
const HANG_OPTIONS: [&str; 6] =
    ["timeout", "initial_check_delay", "hang_signal", "hang_grace_period", "probe", "probe_interval"];
/// Options that mean nothing without another.
const DEPENDENT_OPTIONS: [(&str, &str); 2] = [("hang_grace_period", "hang_signal"), ("probe_interval", "probe")];

pub(super) fn settings(
    options: Options,
    matches: &ArgMatches,
    environment: Vec<(OsString, OsString)>,
    variables: &BTreeSet<OsString>,
) -> Result<Settings, Refusal> {
    refuse_dependents(matches)?;
    refuse_double_meaning(&options)?;
    let watchdog = watchdog(&options, matches)?;
    let heartbeat_file = files::heartbeat_file(&options.heartbeat_file, watchdog)?;
    let files = files::state_files(&options, &heartbeat_file)?;
    let program = options.command.first().cloned().unwrap_or_default();
    let name = name(&options, &program)?;
    let mut environment = for_others(environment, variables, &heartbeat_file);
    let (hook, hook_queue) = hook(options.on_event.clone(), &environment)?;
    let notifications = if options.notify { Notifications::Taken } else { Notifications::Refused };
    add_watchdog_variables(&mut environment, watchdog, notifications);
    let probe = probe(&options, watchdog, &environment)?;
    Ok(Settings {
        name,
        policy: policy(&options, watchdog),
        backend: Config {
            command: Command { program, arguments: options.command.get(1..).unwrap_or_default().to_vec(), environment },
            heartbeat_file: (watchdog != Watchdog::Off).then_some(heartbeat_file),
            probe,
            stop_signal: options.stop_signal,
            hang_signal: options.hang_signal.unwrap_or(options.stop_signal),
            stop_target: options.stop_target,
            stop_on: options.stop_on,
            restart_signal: options.restart_signal,
            notifications,
            hook,
            tick: feeding_interval(|name| std::env::var(name).ok()),
            own_files: files.iter().map(|file| file.file.clone()).collect(),
        },
        format: options.log_format,
        files,
        hook_queue,
        verbosity: match (options.quiet, options.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Normal,
            (false, 1) => Verbosity::Verbose,
            (false, _) => Verbosity::Trace,
        },
        hints: Vec::new(),
    })
}

fn policy(options: &Options, watchdog: Watchdog) -> Policy {
    Policy {
        watchdog,
        on_hang: match options.hang_signal {
            None => OnHang::Stop,
            Some(_) => OnHang::Signal { grace_period: options.hang_grace_period.unwrap_or(options.grace_period) },
        },
        grace_period: options.grace_period,
        restart: options.restart,
        max_restarts: options.max_restarts,
        backoff: Backoff {
            factor: options.backoff_factor,
            ceiling: options.max_backoff,
            jitter: Jitter { parts_per_billion: options.backoff_jitter, seed: seed() },
        },
        reset_after: options.reset_after,
    }
}

/// What the command, the hook and the probe inherit: no variables that are for this supervisor.
fn for_others(
    environment: Vec<(OsString, OsString)>,
    variables: &BTreeSet<OsString>,
    heartbeat_file: &Path,
) -> Vec<(OsString, OsString)> {
    let heartbeat_variable = OsString::from("HEARTBEAT_FILE");
    let kept = environment.into_iter().filter(|(name, _)| !variables.contains(name) && *name != heartbeat_variable);
    kept.chain([(heartbeat_variable.clone(), heartbeat_file.into())]).collect()
}

/// sd_watchdog_enabled(3): what a service manager above has set is for the supervisor.
fn add_watchdog_variables(
    environment: &mut Vec<(OsString, OsString)>,
    watchdog: Watchdog,
    notifications: Notifications,
) {
    match notifications {
        Notifications::Refused => return,
        Notifications::Taken => environment.retain(|(name, _)| name != "WATCHDOG_USEC" && name != "WATCHDOG_PID"),
    }
    if let Watchdog::On { timeout, .. } = watchdog {
        let micros = u64::try_from(timeout.as_micros()).unwrap_or(u64::MAX);
        environment.push(("WATCHDOG_USEC".into(), micros.to_string().into()));
    }
}

/// What it is called: as it is asked for, else as its metrics file, else as its command.
fn name(options: &Options, program: &OsStr) -> Result<String, Refusal> {
    let text = |name: &OsStr| name.to_string_lossy().into_owned();
    let of_metrics = || options.metrics_file.as_ref()?.file_stem().map(text);
    let of_command = || Path::new(program).file_name().map_or_else(|| text(program), text);
    match &options.name {
        Some(name) if name.is_empty() => Err(usage("invalid value '' for '--name <NAME>': give a name".to_owned())),
        Some(name) => Ok(text(name)),
        None => Ok(of_metrics().unwrap_or_else(of_command)),
    }
}

fn hook(
    program: Option<OsString>,
    environment: &[(OsString, OsString)],
) -> Result<(Option<HookConfig>, Option<HookQueue>), Refusal> {
    let Some(program) = program else { return Ok((None, None)) };
    let command = programs::hook(program, environment)?;
    let (queue, calls) = HookQueue::channel();
    Ok((Some(HookConfig { command, calls }), Some(queue)))
}

/// None where there is no hang detection: it may be turned off by a variable, or the probe be asked for by one.
fn probe(
    options: &Options,
    watchdog: Watchdog,
    environment: &[(OsString, OsString)],
) -> Result<Option<ProbeConfig>, Refusal> {
    let (Some(line), Watchdog::On { timeout, initial_delay }) = (&options.probe, watchdog) else { return Ok(None) };
    let command = programs::probe(line.clone(), environment)?;
    let interval = options.probe_interval.unwrap_or(timeout / 3);
    Ok(Some(ProbeConfig { command, interval, timeout, initial_delay }))
}

/// `--no-heartbeat` and an option about hangs contradict each other on the command line. Elsewhere the command line
/// wins over the environment.
fn watchdog(options: &Options, matches: &ArgMatches) -> Result<Watchdog, Refusal> {
    let about_hangs = HANG_OPTIONS.into_iter().find(|id| is_given(matches, id));
    match (options.no_heartbeat, about_hangs) {
        (true, Some(id)) if is_given(matches, "no_heartbeat") => {
            let option = option(id);
            Err(usage(format!("--no-heartbeat turns hang detection off, and {option} is about it: leave one out")))
        }
        (true, None) => Ok(Watchdog::Off),
        (true, Some(_)) | (false, _) => {
            Ok(Watchdog::On { timeout: options.timeout, initial_delay: options.initial_check_delay })
        }
    }
}

/// An option on the command line that means nothing without another, which is set nowhere.
fn refuse_dependents(matches: &ArgMatches) -> Result<(), Refusal> {
    for (id, needed) in DEPENDENT_OPTIONS {
        if is_given(matches, id) && matches.value_source(needed).is_none() {
            let (option, needed) = (option(id), option(needed));
            return Err(usage(format!("{option} means nothing without {needed}: give both, or leave it out")));
        }
    }
    Ok(())
}

/// A signal to the supervisor has one meaning.
fn refuse_double_meaning(options: &Options) -> Result<(), Refusal> {
    let Some(signal) = options.restart_signal else { return Ok(()) };
    let other = if options.stop_on.contains(&signal) {
        "--stop-on gives it another meaning"
    } else if [Signal::TERM, Signal::INT].contains(&signal) {
        "it asks the supervisor to stop"
    } else {
        return Ok(());
    };
    let is_free = |other: &Signal| !options.stop_on.contains(other);
    let free = [Signal::HUP, Signal::USR1, Signal::USR2].into_iter().find(is_free);
    let such_as = free.map(|free| format!(", such as {free}")).unwrap_or_default();
    Err(usage(format!("--restart-signal {signal}: {other}; give another signal{such_as}")))
}

fn is_given(matches: &ArgMatches, id: &str) -> bool {
    matches.value_source(id) == Some(ValueSource::CommandLine)
}

fn option(id: &str) -> String {
    format!("--{}", id.replace('_', "-"))
}

/// What tells the random stretches of this supervisor from those of others.
fn seed() -> u64 {
    let mut seed = [0; 8];
    // Without random numbers, the process id has to do.
    let fallback = u64::from(std::process::id());
    match rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::NONBLOCK) {
        Ok(8) => u64::from_ne_bytes(seed),
        Ok(_) | Err(_) => fallback,
    }
}

/// How often the watchdog of a service manager wants to be fed: half the time that it allows, as sd_watchdog_enabled(3) advises.
fn feeding_interval(variable: impl Fn(&str) -> Option<String>) -> Option<Duration> {
    let for_another = variable("WATCHDOG_PID").is_some_and(|pid| pid != std::process::id().to_string());
    let micros: u64 = variable("WATCHDOG_USEC")?.parse().ok()?;
    (micros > 0 && !for_another).then(|| Duration::from_micros(micros) / 2)
}

#[cfg(test)]
mod tests;
