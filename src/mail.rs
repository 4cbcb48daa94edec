//! Mail: short plain texts by SMTP, where a server is set.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use secrecy::ExposeSecret;

use crate::config::MailServer;

/// How long a mail server may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends mail.
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// Prepares to send; connects to nothing yet.
    ///
    /// # Errors
    /// Where the server's address is not one.
    pub fn new(server: &MailServer) -> Result<Self, String> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(server.url.expose_secret())
            .map_err(|_| "COPYDESK_SMTP_URL is not the address of a mail server".to_owned())?
            .timeout(Some(PATIENCE))
            .build();
        Ok(Self { transport, from: server.from.clone() })
    }

    /// Sends a text.
    ///
    /// # Errors
    /// What the server or the network says; never the text or whom it was for.
    pub async fn send(&self, to: &str, subject: &str, text: String) -> Result<(), String> {
        let to = to.parse::<Mailbox>().map_err(|_| "the address can't be written to".to_owned())?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(subject)
            .header(ContentType::TEXT_PLAIN)
            .body(text)
            .map_err(|_| "the mail can't be put together".to_owned())?;
        self.transport.send(message).await.map(drop).map_err(|error| without_addresses(&error))
    }
}

/// What kind of failure it was: a server's own words may repeat an address.
fn without_addresses(error: &lettre::transport::smtp::Error) -> String {
    let kind = if error.is_timeout() {
        "it did not answer in time"
    } else if error.is_permanent() {
        "it refused the mail for good"
    } else if error.is_transient() {
        "it refused the mail for now"
    } else if error.is_response() || error.is_client() {
        "it did not speak SMTP as expected"
    } else {
        "it can't be reached"
    };
    match error.status() {
        Some(code) => format!("{kind} (SMTP {code})"),
        None => kind.to_owned(),
    }
}
