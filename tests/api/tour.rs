//! The tour of the README: every line works as it is printed.

use std::fs;
use std::process::Command;

use crate::command_line::Server;

const README: &str = include_str!("../../README.md");

/// What stands between two headings.
fn section<'a>(begin: &str, end: &str) -> &'a str {
    README.split(begin).nth(1).unwrap().split(end).next().unwrap()
}

/// The commands of a section.
fn commands(section: &str) -> String {
    section.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap()).collect()
}

#[test]
fn the_tour_works_as_printed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--demo"]);
    let tour = commands(section("## Five minutes with curl", "## Running it"));
    assert!(tour.contains("http://127.0.0.1:8080") && tour.contains("cargo run --release --"));
    let tour = tour
        .replace("http://127.0.0.1:8080", &format!("http://{}", server.address))
        .replace("cargo run --release --", env!("CARGO_BIN_EXE_copydesk"));
    // Each call does what it says and notes its status besides.
    let script = format!(
        "set -eu\ncurl() {{ command curl -sS -D headers \"$@\"; sed -n '1s/^[^ ]* \\([0-9]*\\).*/\\1/p' headers >> statuses; }}\n{tour}"
    );
    let output = Command::new("bash").arg("-c").arg(script).current_dir(dir.path()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let statuses = fs::read_to_string(dir.path().join("statuses")).unwrap();
    let statuses: Vec<_> = statuses.lines().collect();
    let read = ["200", "200", "200", "200", "400"];
    let signed_in = ["200", "200"];
    let (written, changed, published) = (["201", "200", "404"], ["200", "412"], ["200", "200"]);
    let contact = ["202", "403", "200", "200"];
    assert_eq!(statuses, [&read[..], &signed_in, &written, &changed, &published, &contact].concat());
    let shown = String::from_utf8(output.stdout).unwrap();
    for told in ["did you mean", "ada@example.org", "First steps", "precondition-failed", "May I call you tonight?"] {
        assert!(shown.contains(told), "{told} is not in {shown}");
    }
}
