//! Tests from outside: the real binary, real commands, and what a person could see of them.

mod autopsy;
mod dead_file_system;
mod environment;
mod escalation;
mod exit_codes;
mod hang;
mod healthcheck;
mod hostile;
mod json;
mod killed;
mod leftovers;
mod log;
mod manager;
mod notify;
mod pid_one;
mod probe;
mod python;
mod requests;
mod restart;
mod signals;
mod sockets;
mod starved;
mod stop;
mod support;
mod terminal;
mod usage;
