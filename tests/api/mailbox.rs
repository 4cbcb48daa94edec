//! A mail server of its own for a test: it speaks SMTP, and writes what it takes into files.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use copydesk::config::{Config, MailServer};
use tempfile::TempDir;

use crate::steps::eventually;

/// Takes mails and writes them one by one into files; the library's own server module is gone from new Pythons.
const MAIL_SERVER: &str = r#"
import socketserver, sys, os

class Session(socketserver.StreamRequestHandler):
    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self):
        self.say("220 mail.example.org ESMTP")
        envelope = []
        while line := self.rfile.readline():
            verb = line.decode().strip()
            command = verb.split(" ")[0].upper()
            if command == "MAIL":
                envelope = [verb]
            if command == "RCPT":
                envelope.append(verb)
            if command == "QUIT":
                return self.say("221 bye")
            if command == "RCPT" and "refused@" in verb:
                self.say("550 5.1.1 no such mailbox " + verb)
            elif command == "DATA":
                self.say("354 go on")
                self.take(envelope)
                self.say("250 taken")
            else:
                self.say("250 fine")

    def take(self, envelope):
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b"..") else line)
        name = os.path.join(sys.argv[1], str(len(os.listdir(sys.argv[1]))))
        with open(name + ".part", "wb") as file:
            file.write("\r\n".join(envelope).encode() + b"\r\n\r\n" + b"".join(lines))
        os.rename(name + ".part", name + ".eml")

socketserver.ThreadingTCPServer.allow_reuse_address = True
server = socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[2])), Session)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

/// A mail server, killed when dropped.
pub(crate) struct Mailbox {
    directory: TempDir,
    child: Child,
    pub(crate) port: u16,
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Mailbox {
    pub(crate) fn open() -> Self {
        Self::open_at(0)
    }

    /// Opens it at a port, where one was before.
    pub(crate) fn open_at(port: u16) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new("python3");
        command
            .args(["-c", MAIL_SERVER])
            .arg(directory.path())
            .arg(port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("python3 is there");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { directory, child, port: line.trim().parse().unwrap() }
    }

    /// Lets nobody in any more; gives the port.
    pub(crate) fn close(self) -> u16 {
        self.port
    }

    /// The one mail that it has taken.
    pub(crate) fn mail(&self) -> String {
        let mails = || -> Vec<_> {
            let files = std::fs::read_dir(self.directory.path()).unwrap().map(|file| file.unwrap().path());
            files.filter(|path| path.extension().is_some_and(|extension| extension == "eml")).collect()
        };
        let found = eventually("a mail arrives", || Some(mails()).filter(|mails| !mails.is_empty()));
        assert_eq!(found.len(), 1);
        let text = std::fs::read_to_string(&found[0]).unwrap();
        std::fs::remove_file(&found[0]).unwrap();
        text
    }

    /// Whether it has taken none.
    pub(crate) fn is_empty(&self) -> bool {
        std::fs::read_dir(self.directory.path()).unwrap().next().is_none()
    }
}

/// Settings that send mail there.
pub(crate) fn mailing_to(port: u16) -> impl FnOnce(&mut Config) {
    move |config| {
        let url = format!("smtp://127.0.0.1:{port}").into();
        config.mail = Some(MailServer { url, from: "Copydesk <cms@example.org>".parse().unwrap() });
    }
}
