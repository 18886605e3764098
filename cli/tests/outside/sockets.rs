//! Socket activation: listening sockets that the supervisor was given outlive the runs of its command.

use crate::support::{Place, wait_for_file};
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

/// Listens on descriptor 3, as a service manager does, and becomes the supervisor.
const ACTIVATE: &str = r#"
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind('socket'); s.listen()
os.dup2(s.fileno(), 3); os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()), LISTEN_PIDFDID='12345', LISTEN_FDNAMES='web')
os.execv(sys.argv[1], sys.argv[1:])
"#;

/// Answers one connection with its run, and exits; the first run does not get that far.
const SERVE: &str = r#"
import os, socket
assert os.environ['LISTEN_PID'] == str(os.getpid()) and 'LISTEN_PIDFDID' not in os.environ, dict(os.environ)
assert os.environ['LISTEN_FDS'] == '1' and os.environ['LISTEN_FDNAMES'] == 'web'
if os.environ['SUPERVISED_RESTARTS'] == '0':
    open('failed', 'w').write('\n'); os._exit(1)
connection, _ = socket.socket(fileno=3).accept()
connection.send(b'run ' + os.environ['SUPERVISED_RESTARTS'].encode())
"#;

#[test]
fn a_connection_made_during_the_backoff_is_answered_by_the_next_run() {
    let place = Place::new();
    std::fs::write(place.path("serve.py"), SERVE).unwrap();
    let mut supervisor = Command::new(crate::support::python())
        .args(["-c", ACTIVATE, env!("CARGO_BIN_EXE_supervisor"), "--backoff-factor", "1", "python3", "serve.py"])
        .current_dir(place.path(""))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_file(&place.path("failed"));
    let mut connection = UnixStream::connect(place.path("socket")).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "run 1");
    assert!(supervisor.wait().unwrap().success());
}

/// Sockets that were passed to another process are none of the command's business.
#[test]
fn the_pid_of_another_is_left_as_it_is() {
    let place = Place::new();
    let mut command = place.supervisor(["sh", "-c", "echo $LISTEN_PID $LISTEN_PIDFDID"]);
    command.env("LISTEN_PID", "1").env("LISTEN_PIDFDID", "7");
    assert_eq!(crate::support::Supervised::start(command).end().output, "1 7\n");
}
