//! What `ARCHITECTURE.md` says of the machine is so.

#[expect(dead_code, reason = "an example has a main function")]
#[path = "../examples/states.rs"]
mod states;

const PAGE: &str = include_str!("../../ARCHITECTURE.md");

/// What stands between two texts.
fn between<'a>(begin: &str, end: &str) -> &'a str {
    let rest = PAGE.split_once(begin).unwrap_or_else(|| panic!("{begin} is missing")).1;
    rest.split_once(end).unwrap_or_else(|| panic!("{end} is missing")).0
}

#[test]
fn the_diagram_of_phases_is_the_one_that_exploration_finds() {
    let shown = between("```mermaid\n", "```\n");
    let remedy = "put the output of cargo run -p supervisor-core --example states into ARCHITECTURE.md";
    assert_eq!(shown, states::diagram(), "{remedy}");
}

#[test]
fn every_invariant_that_is_named_is_held_by_the_exploration() {
    let sources = concat!(include_str!("explore/main.rs"), include_str!("explore/world.rs"));
    let names: Vec<_> = between("These are their names:\n", "\n###").split('`').skip(1).step_by(2).collect();
    assert!(!names.is_empty());
    for name in names {
        assert!(sources.contains(&format!("\"{name}\"")), "no invariant is called {name}");
    }
}
