//! The guides and the tour of the README: each command works as it is printed, and prints what stands below it.
//!
//! A page is one session of a shell beside a fresh `copydesk serve --demo`. A block of `sh` is run; the block of `json`,
//! `http` or `text` that follows it at once is what it prints. In that, `…` within a line stands for anything in that
//! line, and a line of it alone for any lines.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::command_line::Server;

/// The address that the pages name.
const ADDRESS: &str = "127.0.0.1:8080";
/// Ends what a block has printed, before its status.
const END: char = '\u{1e}';

/// A block of commands with what it is said to print.
#[derive(Debug, PartialEq)]
struct Step {
    line: usize,
    commands: String,
    expected: Vec<String>,
}

/// The steps of a page.
///
/// # Panics
/// Where an output stands below no commands: nobody would check it.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = page.lines().enumerate();
    let mut is_below_commands = false;
    while let Some((number, line)) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            is_below_commands &= line.trim().is_empty();
            continue;
        };
        let block: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        match language {
            "sh" => steps.push(Step { line: number + 1, commands: block.join("\n"), expected: Vec::new() }),
            "json" | "http" | "text" => {
                assert!(is_below_commands, "line {}: this is no output of a command", number + 1);
                steps.last_mut().unwrap().expected = trimmed(&block.join("\n"));
            }
            _ => {}
        }
        is_below_commands = language == "sh";
    }
    steps
}

/// The lines of a text without white space at their ends, and without blank ones at its end.
fn trimmed(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(|line| line.trim_end().to_owned()).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// Whether lines are as they are expected.
fn matches(expected: &[String], printed: &[String]) -> bool {
    let Some((first, rest)) = expected.split_first() else { return printed.is_empty() };
    if first.trim() == "…" {
        return (0..=printed.len()).any(|skipped| matches(rest, &printed[skipped..]));
    }
    printed.split_first().is_some_and(|(line, others)| line_matches(first, line) && matches(rest, others))
}

fn line_matches(expected: &str, line: &str) -> bool {
    let Some((begin, rest)) = expected.split_once('…') else { return expected == line };
    let Some(mut line) = line.strip_prefix(begin) else { return false };
    let parts: Vec<&str> = rest.split('…').collect();
    let (end, middle) = parts.split_last().unwrap();
    for part in middle {
        let Some((_, after)) = line.split_once(part) else { return false };
        line = after;
    }
    line.ends_with(end)
}

/// The commands of a step, for a server elsewhere and a program that is built.
fn commands(step: &Step, address: &str) -> String {
    step.commands.replace(ADDRESS, address).replace("cargo run --release --", "copydesk")
}

/// Runs the steps one after the other in one shell; gives what each has printed.
fn run(steps: &[Step], dir: &Path, address: &str) -> Vec<Vec<String>> {
    // On a terminal curl shows no progress. Each call notes its status besides.
    let mut script = "exec 2>&1\ncurl() { command curl -sS -D \"$NOTES/headers\" \"$@\"; \
        sed -n '1s/^[^ ]* \\([0-9]*\\).*/\\1/p' \"$NOTES/headers\" >> \"$NOTES/statuses\"; }\n"
        .to_owned();
    for step in steps {
        writeln!(script, "{}\nprintf '{END}%s{END}' \"$?\"", commands(step, address)).unwrap();
    }
    let commands = dir.join("commands");
    fs::create_dir_all(&commands).unwrap();
    symlink(env!("CARGO_BIN_EXE_copydesk"), commands.join("copydesk")).unwrap();
    let path = format!("{}:{}", commands.display(), std::env::var("PATH").unwrap());
    let here = dir.join("here");
    fs::create_dir_all(&here).unwrap();
    let mut shell = Command::new("bash");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COPYDESK_") || name == "DATABASE_URL") {
        shell.env_remove(name);
    }
    shell.args(["-c", &script]).current_dir(here).env("PATH", path).env("COPYDESK_DATA_DIR", dir.join("data"));
    shell.env("NOTES", dir);
    let output = shell.stdin(Stdio::null()).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap().replace(address, ADDRESS);
    let parts: Vec<&str> = printed.split(END).collect();
    let ends = parts.chunks(2).filter(|part| part.len() == 2);
    ends.zip(steps)
        .map(|(part, step)| {
            assert_eq!(part[1], "0", "line {}: the last command failed:\n{}\n{}", step.line, step.commands, part[0]);
            trimmed(part[0])
        })
        .collect()
}

fn works_as_printed(name: &str) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guides").join(name);
    try_out(name, &steps(&fs::read_to_string(page).unwrap()));
}

/// Tries steps beside a fresh server with the sample content; gives the statuses that the calls were answered with.
fn try_out(name: &str, steps: &[Step]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--demo"]);
    let printed = run(steps, dir.path(), &server.address);
    assert_eq!(printed.len(), steps.len(), "{name}: the shell ended early");
    for (step, printed) in steps.iter().zip(printed) {
        assert!(
            matches(&step.expected, &printed),
            "{name}, line {}:\n{}\nprinted\n{}\ninstead of\n{}",
            step.line,
            step.commands,
            printed.join("\n"),
            step.expected.join("\n")
        );
    }
    let statuses = fs::read_to_string(dir.path().join("statuses")).unwrap_or_default();
    statuses.lines().map(str::to_owned).collect()
}

#[test]
fn the_tour_of_the_readme_works_as_printed() {
    let readme = include_str!("../../README.md");
    let (_, tour) = readme.split_once("## Five minutes with curl").unwrap();
    let (tour, _) = tour.split_once("\n## ").unwrap();
    let steps = steps(tour);
    assert!(steps.len() > 10 && steps.iter().all(|step| !step.expected.is_empty()));
    assert!(tour.contains("http://127.0.0.1:8080") && tour.contains("cargo run --release --"));
    let read = ["200", "200", "200", "200", "400"];
    let signed_in = ["200", "200"];
    let (written, changed, published) = (["201", "200", "404"], ["200", "412"], ["200", "200"]);
    let contact = ["202", "403", "200", "200"];
    let statuses = [&read[..], &signed_in, &written, &changed, &published, &contact].concat();
    assert_eq!(try_out("README.md", &steps), statuses);
}

#[test]
fn the_guide_for_front_ends_works_as_printed() {
    works_as_printed("front-end.md");
}

#[test]
fn the_guide_for_writing_works_as_printed() {
    works_as_printed("writing.md");
}

#[test]
fn the_guide_for_integrating_works_as_printed() {
    works_as_printed("integrating.md");
}

#[test]
fn the_guide_for_contact_forms_works_as_printed() {
    works_as_printed("contact-form.md");
}

#[test]
fn the_guide_for_operating_works_as_printed() {
    works_as_printed("operating.md");
}

#[test]
fn every_guide_with_commands_is_tried() {
    let own = include_str!("guides.rs");
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guides")).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        let has_commands = !steps(&fs::read_to_string(file.path()).unwrap()).is_empty();
        assert_eq!(has_commands, own.contains(&format!("works_as_printed(\"{name}\")")), "{name}");
    }
}

#[test]
fn what_is_printed_is_compared_line_by_line() {
    let lines = |text: &str| trimmed(text);
    for (expected, printed, is_same) in [
        ("a", "a", true),
        ("a", "a  \n\n", true),
        ("a", "a\nb", false),
        ("{\"id\": \"…\"}", "{\"id\": \"7\"}", true),
        ("a…c…e", "abcde", true),
        ("a…c…e", "abcdef", false),
        ("…b…b", "ab", false),
        ("a…", "a", true),
        ("a\n…\nz", "a\nz", true),
        ("a\n…\nz", "a\nb\nc\nz", true),
        ("a\n…", "b", false),
        ("", "a", false),
    ] {
        assert_eq!(matches(&lines(expected), &lines(printed)), is_same, "{expected:?} and {printed:?}");
    }
}

#[test]
fn the_steps_of_a_page_are_its_commands_with_what_stands_below() {
    let page = "# T\n```sh\nls\n```\n\n```text\na\n```\nwords\n```ini\nx\n```\n```sh\ntrue\n```\n";
    let step = |line, commands: &str, expected: &[&str]| Step {
        line,
        commands: commands.to_owned(),
        expected: expected.iter().map(|line| (*line).to_owned()).collect(),
    };
    assert_eq!(steps(page), [step(2, "ls", &["a"]), step(13, "true", &[])]);
    let orphan = std::panic::catch_unwind(|| steps("```sh\nls\n```\nwords\n```text\na\n```\n"));
    assert!(orphan.is_err());
}
