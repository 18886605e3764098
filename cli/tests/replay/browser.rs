//! The page in a browser: that something is drawn, in light and dark, and that it fits a phone.

use super::{KILLED, LIFE, page};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const PHONE: u32 = 390;
const DESKTOP: u32 = 1_000;

/// preferredColorScheme of Chromium's Blink settings.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scheme {
    Dark = 0,
    Light = 1,
}

/// A headless browser with a profile of its own.
struct Browser {
    program: &'static str,
    profile: tempfile::TempDir,
}

impl Browser {
    /// None on a machine without one.
    fn find() -> Option<Browser> {
        let works =
            |program: &&str| Command::new(program).arg("--version").output().is_ok_and(|it| it.status.success());
        let program = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|program| works(program))?;
        Some(Browser { program, profile: tempfile::tempdir().unwrap() })
    }

    fn run(&self, scheme: Scheme, arguments: &[String], page: &Path) -> String {
        let output = Command::new(self.program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"])
            .arg(format!("--user-data-dir={}", self.profile.path().display()))
            .arg(format!("--blink-settings=preferredColorScheme={}", scheme as u8))
            .args(arguments)
            .arg(format!("file://{}", page.display()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the browser finds in the page at a width.
    fn measure(&self, scheme: Scheme, frame: &Path) -> Measured {
        let dom = self.run(scheme, &["--dump-dom".to_owned()], frame);
        let value = dom.split_once("data-measured=\"").expect("the page is measured").1.split_once('"').unwrap().0;
        let value: Value = serde_json::from_str(&value.replace("&quot;", "\"")).unwrap();
        Measured {
            overflow: value["scroll"].as_u64().unwrap() - value["width"].as_u64().unwrap(),
            drawn: value["drawn"].as_u64().unwrap(),
            background: value["background"].as_str().unwrap().to_owned(),
        }
    }

    fn screenshot(&self, scheme: Scheme, width: u32, frame: &Path, picture: &Path) {
        let arguments = [format!("--window-size={width},1600"), format!("--screenshot={}", picture.display())];
        self.run(scheme, &arguments, frame);
        assert!(fs::metadata(picture).unwrap().len() > 10_000, "{}: hardly anything is drawn", picture.display());
    }
}

#[derive(Debug)]
struct Measured {
    /// Pixels that are wider than the window.
    overflow: u64,
    /// Rectangles of the timeline that have a size.
    drawn: u64,
    background: String,
}

/// A window of a width around the page, with a script: the page itself forbids any. All details are opened.
fn frame(page: &str, width: u32, file: &Path) {
    let page = page.replace("<details>", "<details open>").replace('&', "&amp;").replace('"', "&quot;");
    let html = format!(
        "<!DOCTYPE html><body style=\"margin:0\"><iframe style=\"border:0;width:{width}px;height:1600px\" srcdoc=\"{page}\">\
         </iframe><script>onload = () => {{
            const page = document.querySelector('iframe').contentDocument;
            const shows = it => it.getBoundingClientRect().width > 0 && it.getBoundingClientRect().height > 0;
            document.body.dataset.measured = JSON.stringify({{
                width: {width},
                scroll: page.scrollingElement.scrollWidth,
                drawn: [...page.querySelectorAll('.timeline rect')].filter(shows).length,
                background: page.defaultView.getComputedStyle(page.body).backgroundColor,
            }});
         }}</script>"
    );
    fs::write(file, html).unwrap();
}

/// Opens the page of a log in all ways, and leaves the pictures behind to be looked at.
fn look(browser: &Browser, name: &str, log: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let text = page(log, &folder.path().join("page.html"));
    let file = folder.path().join("frame.html");
    let mut backgrounds = Vec::new();
    for (scheme, width) in [(Scheme::Light, DESKTOP), (Scheme::Dark, DESKTOP), (Scheme::Light, PHONE)] {
        frame(&text, width, &file);
        let measured = browser.measure(scheme, &file);
        assert_eq!(measured.overflow, 0, "{name} {scheme:?} {width}: {measured:?}");
        assert!(measured.drawn > 5, "{name} {scheme:?} {width}: {measured:?}");
        backgrounds.push(measured.background);
        let picture = format!("replay-{name}-{scheme:?}-{width}.png").to_lowercase();
        browser.screenshot(scheme, width, &file, &PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(picture));
    }
    assert_ne!(backgrounds[0], backgrounds[1], "dark is not light");
    assert_eq!(backgrounds[0], backgrounds[2]);
}

/// Ten thousand events and more: runs that hang, with what many processes were doing, and a name that never ends.
fn long_log(file: &Path) {
    let mut log = fs::read_to_string(LIFE).unwrap().lines().next().unwrap().to_owned() + "\n";
    let begin: jiff::Timestamp = "2026-11-25T19:30:00Z".parse().unwrap();
    let mut tell = |seconds: u64, event: Value| {
        let time = begin + std::time::Duration::from_secs(seconds);
        let mut line = json!({"version": 1, "time": format!("{time:.3}"), "supervisor": 13401, "level": "info"});
        line.as_object_mut().unwrap().extend(event.as_object().unwrap().clone());
        log += &format!("{line}\n");
    };
    for run in 1..=1_500 {
        let (at, pid, name) = (run * 40, 1_000 + run, "x".repeat(60));
        let process = json!({"pid": pid, "name": name, "parent": 1, "state": "D", "waits_in": name, "cpu": 0.5, "over": 20, "threads": 3});
        tell(at, json!({"event": "started", "run": run, "pid": pid}));
        tell(at + 5, json!({"event": "heartbeat", "run": run, "pid": pid, "first": true, "ago": 1.5}));
        tell(at + 25, json!({"event": "hung", "run": run, "pid": pid, "silence": 20.0, "grace_period": 5.0}));
        tell(at + 25, json!({"event": "autopsy", "processes": vec![process; 20]}));
        tell(at + 30, json!({"event": "killing", "run": run, "cause": "grace_period_over"}));
        tell(at + 30, json!({"event": "exited", "run": run, "pid": pid, "signal": 9, "ending": "killed"}));
        tell(at + 30, json!({"event": "backing_off", "restart": run, "max_restarts": -1, "delay": 10.0}));
    }
    fs::write(file, log).unwrap();
}

#[test]
fn pages_are_drawn_and_fit_in_light_and_dark_and_on_a_phone() {
    let Some(browser) = Browser::find() else {
        // The harness would keep what eprintln! says to itself.
        let _ = writeln!(std::io::stderr(), "SKIPPED: no chromium here, so that nobody looks at the pages");
        return;
    };
    look(&browser, "life", Path::new(LIFE));
    look(&browser, "killed", Path::new(KILLED));
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("long.jsonl");
    long_log(&log);
    look(&browser, "long", &log);
}

#[test]
fn ten_thousand_events_make_a_page_of_bounded_size() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("long.jsonl");
    long_log(&log);
    assert!(fs::read_to_string(&log).unwrap().lines().count() > 10_000);
    let page = page(&log, &folder.path().join("page.html"));
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
    assert!(page.contains("<li><b>1500</b> runs</li>"));
    assert!(page.contains("500 before these are in the log alone."));
}
