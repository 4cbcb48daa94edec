//! What `copydesk user` does: accounts, beside a running server too.

use std::io::{BufRead, IsTerminal};

use super::UserCommand;
use super::commands::{open_beside_server, print, sentence};
use super::tell;
use crate::auth::password_links::{self, PasswordLink};
use crate::auth::{passwords, remove_second_factor};
use crate::changes::Who;
use crate::config::Config;
use crate::db::{Db, Timestamp};
use crate::http::Problem;
use crate::mail::Mailer;
use crate::state::Clock;
use crate::users::{self, NewUser};

const WHO: Who = Who::CommandLine;

/// Runs a command.
///
/// # Errors
/// A sentence that says what went wrong and what to do.
pub(super) async fn run(command: UserCommand, config: Config) -> Result<(), String> {
    let (db, now) = (open_beside_server(&config)?, Clock::default().now());
    let told = match command {
        UserCommand::Create { email, name, role, password_stdin } => {
            let new = NewUser { email, name, role };
            return create(&db, &config, new, password_stdin, now).await;
        }
        UserCommand::List => {
            let all = db.read(users::list_all).await.map_err(|problem| sentence(&problem))?;
            return print(&users::table(&all));
        }
        UserCommand::ResetLink { email } => {
            let made = db.write(move |tx| {
                let id = users::id_of(tx, &email)?;
                password_links::make(tx, id, WHO, now)
            });
            let (email, link) = made.await.map_err(|problem: Problem| sentence(&problem))?;
            let mailer = mailer(&config)?;
            return show(&email, &password_links::hand_over(&config, mailer.as_ref(), &email, link).await);
        }
        UserCommand::SetPassword { email, .. } => {
            let hash = read_password(&config, &email, "")?;
            let told = format!("The password of {email} was set; all sign-ins of the account have ended.");
            db.write(move |tx| users::set_password(tx, &email, hash, WHO, now)).await.map(|()| told)
        }
        UserCommand::Disable { email } => {
            let told = format!("The account {email} is disabled.");
            db.write(move |tx| users::set_disabled(tx, &email, true, WHO, now)).await.map(|()| told)
        }
        UserCommand::ResetSecondFactor { email } => {
            let told = format!("The account {email} has no second factor any more.");
            let reset = db.write(move |tx| {
                let id = users::id_of(tx, &email)?;
                remove_second_factor(tx, id, WHO, None, now)
            });
            reset.await.map(|()| told)
        }
    };
    tell(&told.map_err(|problem: Problem| sentence(&problem))?);
    Ok(())
}

async fn create(db: &Db, config: &Config, new: NewUser, password_stdin: bool, now: Timestamp) -> Result<(), String> {
    users::check_email(&new.email)?;
    users::check_name(&new.name)?;
    let hash = if password_stdin { Some(read_password(config, &new.email, &new.name)?) } else { None };
    let told = format!("The account {} was created with the role {}.", new.email, new.role.name());
    let made = db.write(move |tx| {
        let has_password = hash.is_some();
        let id = users::insert(tx, &new, hash, WHO, now)?;
        Ok(if has_password { None } else { Some(password_links::make(tx, id, WHO, now)?) })
    });
    let link = made.await.map_err(|problem: Problem| sentence(&problem))?;
    tell(&told);
    match link {
        None => Ok(()),
        Some((email, link)) => {
            let mailer = mailer(config)?;
            show(&email, &password_links::hand_over(config, mailer.as_ref(), &email, link).await)
        }
    }
}

fn mailer(config: &Config) -> Result<Option<Mailer>, String> {
    config.mail.as_ref().map(Mailer::new).transpose()
}

fn show(email: &str, link: &PasswordLink) -> Result<(), String> {
    let until = link.expires_at;
    if let Some(url) = &link.url {
        tell(&format!("Give this link to {email}; it sets a password, once, until {until}:"));
        return print(&format!("{url}\n"));
    }
    tell(&format!("A link that sets a password was mailed to {email}; it is good until {until}."));
    Ok(())
}

fn read_password(config: &Config, email: &str, name: &str) -> Result<String, String> {
    if std::io::stdin().is_terminal() {
        tell("Type the password, then Enter (it is shown as you type; a pipe hides it):");
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|error| format!("standard input can't be read: {error}"))?;
    let password = line.trim_end_matches(['\r', '\n']);
    users::check_password(password, email, name)?;
    passwords::hash(config.password_cost, password)
}
