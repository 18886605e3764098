//! What `RUST_LOG` says about this program. Other programs read it too, so that one that does not speak of this one leaves
//! its level alone.

use super::TARGET;
use crate::options::Verbosity;
use crate::report::Troubles;
use log::LevelFilter;

/// A filter that makes no sense.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub error: String,
    /// The filter that holds instead.
    pub instead: String,
}

impl Refusal {
    /// Tells it, and gives the filter that holds instead.
    pub fn tell(self, troubles: &Troubles) -> String {
        let words = format!("the supervisor ignores RUST_LOG, which it does not understand: {}", self.error);
        troubles.tell("RUST_LOG", self.error, words);
        self.instead
    }
}

/// The filter to be used.
///
/// # Errors
/// That the variable makes no sense. This is found out here, since env_logger would write its complaint to a reader that
/// may stall.
pub fn choose(variable: Option<String>, verbosity: Verbosity) -> Result<String, Refusal> {
    let own = match verbosity {
        Verbosity::Quiet => "warn",
        Verbosity::Normal => "info",
        Verbosity::Verbose => "debug",
        Verbosity::Trace => "trace",
    };
    let Some(filter) = variable.filter(|filter| !filter.is_empty()) else { return Ok(own.to_owned()) };
    match env_filter::Builder::new().try_parse(&filter) {
        Ok(_) if is_about_us(&filter) => Ok(filter),
        Ok(_) => Ok(own.to_owned()),
        Err(error) => {
            let error = error.to_string();
            let error = error.trim_start_matches("error parsing logger filter: ").to_owned();
            Err(Refusal { error, instead: own.to_owned() })
        }
    }
}

/// Whether one of its directives is a bare level, or names this program.
fn is_about_us(filter: &str) -> bool {
    let directives = filter.split('/').next().unwrap_or_default();
    directives.split(',').map(str::trim).filter(|directive| !directive.is_empty()).any(|directive| {
        let target = directive.split('=').next().unwrap_or_default();
        let is_level = target == directive && directive.parse::<LevelFilter>().is_ok();
        is_level || target == TARGET
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_counts_if_it_is_about_this_program() {
        let table = [
            ("off", "off"),
            ("DEBUG", "DEBUG"),
            ("my_service=trace,warn", "my_service=trace,warn"),
            ("supervisor=debug", "supervisor=debug"),
            ("supervisor", "supervisor"),
            ("super=error,other=info", "info"),
            ("s=off", "info"),
            ("my_service=debug", "info"),
            ("my_service", "info"),
            ("supervisor_of_others=debug", "info"),
            ("a=debug,b::c=trace", "info"),
            ("/text", "info"),
            ("", "info"),
        ];
        for (filter, expected) in table {
            assert_eq!(choose(Some(filter.to_owned()), Verbosity::Normal).as_deref(), Ok(expected), "{filter:?}");
        }
        assert_eq!(choose(None, Verbosity::Quiet).as_deref(), Ok("warn"));
    }

    #[test]
    fn nonsense_is_refused() {
        for filter in ["what==", "no=such=filter", "supervisor=loud"] {
            let refusal = choose(Some(filter.to_owned()), Verbosity::Verbose).unwrap_err();
            assert!(refusal.instead == "debug" && !refusal.error.is_empty(), "{filter}: {refusal:?}");
            let (troubles, told) = Troubles::channel();
            assert_eq!(refusal.tell(&troubles), "debug");
            assert!(told.recv().unwrap().words.contains("the supervisor ignores RUST_LOG"));
        }
    }
}
