//! The life of an article as one pure table: `(state, move, role)` gives the next state or a refusal.
//!
//! Whether an article is the caller's own is asked elsewhere; the table knows where an article stands and what a
//! role may do. What is public is never archived or in the trash, and what is archived or in the trash is neither in
//! review nor scheduled.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::Role;
use crate::http::Problem;
use crate::http::problem::{CONFLICT, FORBIDDEN};

/// Whether readers can see an article.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// It was never public.
    None,
    /// A revision of it is public.
    Public,
    /// It was public and is no more.
    Withdrawn,
}

/// Where an article stands.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and the table is about all of them")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Whether readers can see it.
    pub visibility: Visibility,
    /// Whether its working copy waits for a decision.
    pub in_review: bool,
    /// Whether something happens to it at a time.
    pub scheduled: bool,
    /// Whether it is put away.
    pub archived: bool,
    /// Whether it is in the trash.
    pub trashed: bool,
}

/// What can be done with an article.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Save a new revision.
    Save,
    /// Ask for the working copy to be published.
    Submit,
    /// Give a submitted one back to who wrote it.
    Return,
    /// Make a revision public, now or at a time.
    Publish {
        /// Whether it is the working copy: that decides a review.
        present: bool,
        /// Whether it comes out later.
        later: bool,
        /// Whether it goes at a time.
        goes: bool,
        /// What is to happen to a schedule that stands.
        standing: Standing,
    },
    /// Change what is public at once, in the place of what is public now.
    Correct {
        /// Whether that is the working copy, too.
        present: bool,
        /// What is to happen to a schedule that stands.
        standing: Standing,
    },
    /// Withdraw what is public, and take it off the schedule.
    Unpublish,
    /// Put it away.
    Archive,
    /// Take it out of the trash or, where it is not there, out of the archive.
    Restore,
    /// Move it to the trash.
    Trash {
        /// Whether the caller agrees that what is public is withdrawn first.
        unpublish: bool,
    },
    /// Delete it for good.
    Erase,
}

/// What a publication does to a schedule that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has said, and the schedule is for the revision that is published: it is that one's new schedule.
    Same,
    /// Nobody has said, and the schedule is for another revision.
    Other,
    /// It stays.
    Keep,
    /// It goes.
    Cancel,
}

/// Why a move is refused, and what would allow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The role may not; another one may.
    Forbidden(&'static str),
    /// The article does not stand so now.
    Conflict(&'static str),
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Forbidden(detail) => Self::new(&FORBIDDEN, detail),
            Refusal::Conflict(detail) => Self::new(&CONFLICT, detail),
        }
    }
}

impl State {
    /// The state after a move by somebody with this role.
    ///
    /// # Errors
    /// Why the move is not allowed, and what would allow it.
    pub fn after(self, step: Move, role: Role) -> Result<Self, Refusal> {
        permitted(step, role)?;
        if self.trashed {
            return self.after_in_trash(step);
        }
        if self.archived {
            return self.after_in_archive(step, role);
        }
        let is_contributor = role == Role::Contributor;
        let is_public = self.visibility == Visibility::Public;
        let withdrawn = if is_public { Visibility::Withdrawn } else { self.visibility };
        let conflict = |detail| Err(Refusal::Conflict(detail));
        match step {
            Move::Save if self.in_review && is_contributor => {
                conflict("The article is in review; it can be changed when it has been returned (`POST …/return`).")
            }
            Move::Save => Ok(self),
            Move::Submit if self.in_review => conflict("The article is in review already."),
            Move::Submit => Ok(Self { in_review: true, ..self }),
            Move::Return if self.in_review => Ok(Self { in_review: false, ..self }),
            Move::Return => conflict("The article is not in review; it can be returned when it has been submitted."),
            Move::Publish { .. } | Move::Correct { .. } => self.after_publication(step),
            Move::Unpublish if is_public || self.scheduled => {
                Ok(Self { visibility: withdrawn, scheduled: false, ..self })
            }
            Move::Unpublish => {
                conflict("The article is neither public nor scheduled, so there is nothing to withdraw.")
            }
            Move::Archive if is_public || self.scheduled => {
                conflict("The article is public or scheduled; unpublish it first, then archive it.")
            }
            Move::Archive => Ok(Self { archived: true, in_review: false, ..self }),
            Move::Restore => {
                conflict("The article is neither in the trash nor archived, so there is nothing to restore.")
            }
            Move::Trash { .. } if (is_public || self.scheduled) && is_contributor => {
                Err(Refusal::Forbidden("What is public can be withdrawn by an author of it, an editor or an admin."))
            }
            Move::Trash { unpublish: false } if is_public || self.scheduled => {
                conflict("The article is public or scheduled; unpublish it first, or send `unpublish=true`.")
            }
            Move::Trash { .. } if self.in_review && is_contributor => {
                conflict("The article is in review; it can go to the trash when it has been returned.")
            }
            Move::Trash { .. } => {
                Ok(Self { visibility: withdrawn, trashed: true, in_review: false, scheduled: false, ..self })
            }
            Move::Erase => conflict("Only what is in the trash can be deleted for good; move it there first."),
        }
    }

    /// Publishing and correcting, of what is neither in the trash nor archived.
    fn after_publication(self, step: Move) -> Result<Self, Refusal> {
        let conflict = |detail| Err(Refusal::Conflict(detail));
        match step {
            Move::Correct { .. } if self.visibility != Visibility::Public => conflict(
                "The article is not public; change its working copy (`PATCH`) and publish that (`POST …/publish`).",
            ),
            Move::Publish { standing: Standing::Other, .. } | Move::Correct { standing: Standing::Other, .. }
                if self.scheduled =>
            {
                conflict(
                    "Another revision is scheduled; send `schedule` as `keep` or `cancel` to say what is to happen to that.",
                )
            }
            Move::Correct { present, standing } => {
                let scheduled = self.scheduled && standing != Standing::Cancel;
                Ok(Self { in_review: self.in_review && !present, scheduled, ..self })
            }
            Move::Publish { present, later, goes, standing } => {
                let visibility = if later { self.visibility } else { Visibility::Public };
                let scheduled = later || goes || self.scheduled && standing == Standing::Keep;
                Ok(Self { visibility, in_review: self.in_review && !present, scheduled, ..self })
            }
            _ => Ok(self),
        }
    }

    fn after_in_trash(self, step: Move) -> Result<Self, Refusal> {
        match step {
            Move::Restore => Ok(Self { trashed: false, ..self }),
            Move::Erase => Ok(self),
            Move::Trash { .. } => Err(Refusal::Conflict("The article is in the trash already.")),
            _ => Err(Refusal::Conflict("The article is in the trash; restore it first (`POST …/restore`).")),
        }
    }

    fn after_in_archive(self, step: Move, role: Role) -> Result<Self, Refusal> {
        match step {
            Move::Restore if role == Role::Contributor => {
                Err(Refusal::Forbidden("What is archived is restored by an author of it, an editor or an admin."))
            }
            Move::Restore => Ok(Self { archived: false, ..self }),
            Move::Trash { .. } => Ok(Self { trashed: true, ..self }),
            Move::Archive => Err(Refusal::Conflict("The article is archived already.")),
            Move::Erase => {
                Err(Refusal::Conflict("Only what is in the trash can be deleted for good; move it there first."))
            }
            _ => Err(Refusal::Conflict("The article is archived; restore it first (`POST …/restore`).")),
        }
    }
}

/// What a role may never do, wherever an article stands.
fn permitted(step: Move, role: Role) -> Result<(), Refusal> {
    match (step, role) {
        (_, Role::Intake) => Err(Refusal::Forbidden("The role intake reads contact messages and nothing else.")),
        (Move::Erase, Role::Admin) => Ok(()),
        (Move::Erase, _) => Err(Refusal::Forbidden("Only an admin deletes an article for good.")),
        (
            Move::Return | Move::Publish { .. } | Move::Correct { .. } | Move::Unpublish | Move::Archive,
            Role::Contributor,
        ) => Err(Refusal::Forbidden(
            "A contributor submits the article; an author of it, an editor or an admin decides.",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn publish(present: bool, later: bool, goes: bool, standing: Standing) -> Move {
        Move::Publish { present, later, goes, standing }
    }

    const MOVES: [Move; 20] = [
        Move::Save,
        Move::Submit,
        Move::Return,
        publish(true, false, false, Standing::Same),
        publish(false, false, false, Standing::Other),
        publish(false, false, true, Standing::Cancel),
        publish(true, false, false, Standing::Keep),
        publish(true, true, false, Standing::Same),
        publish(false, true, true, Standing::Other),
        publish(true, true, true, Standing::Cancel),
        Move::Correct { present: true, standing: Standing::Same },
        Move::Correct { present: false, standing: Standing::Other },
        Move::Correct { present: false, standing: Standing::Keep },
        Move::Correct { present: true, standing: Standing::Cancel },
        Move::Unpublish,
        Move::Archive,
        Move::Restore,
        Move::Trash { unpublish: false },
        Move::Trash { unpublish: true },
        Move::Erase,
    ];

    /// What has happened to an article, as a person would keep track of it: each fact by itself.
    #[derive(Debug, Default)]
    struct Model {
        was_public: bool,
        facts: Vec<&'static str>,
    }

    impl Model {
        fn is(&self, fact: &'static str) -> bool {
            self.facts.contains(&fact)
        }

        fn set(&mut self, fact: &'static str, holds: bool) {
            self.facts.retain(|other| *other != fact);
            if holds {
                self.facts.push(fact);
            }
        }

        fn allows(&self, step: Move, role: Role) -> bool {
            let decides = matches!(role, Role::Author | Role::Editor | Role::Admin);
            let writes = decides || role == Role::Contributor;
            let lies_open = !self.is("trashed") && !self.is("archived");
            match step {
                Move::Save => writes && lies_open && (decides || !self.is("in review")),
                Move::Submit => writes && lies_open && !self.is("in review"),
                Move::Return => decides && self.is("in review"),
                Move::Publish { standing, .. } => {
                    decides && lies_open && !(self.is("scheduled") && standing == Standing::Other)
                }
                Move::Correct { standing, .. } => {
                    decides && self.is("public") && !(self.is("scheduled") && standing == Standing::Other)
                }
                Move::Unpublish => decides && (self.is("public") || self.is("scheduled")),
                Move::Archive => decides && lies_open && !self.is("public") && !self.is("scheduled"),
                Move::Restore => decides && !lies_open || writes && self.is("trashed"),
                Move::Trash { unpublish } => {
                    let shows = self.is("public") || self.is("scheduled");
                    let may_go = !shows || unpublish && decides;
                    writes && !self.is("trashed") && may_go && (decides || !self.is("in review"))
                }
                Move::Erase => role == Role::Admin && self.is("trashed"),
            }
        }

        fn apply(&mut self, step: Move) {
            match step {
                Move::Save | Move::Erase => {}
                Move::Submit => self.set("in review", true),
                Move::Return => self.set("in review", false),
                Move::Publish { present, later, goes, standing } => {
                    if standing != Standing::Keep {
                        self.set("scheduled", false);
                    }
                    if later || goes {
                        self.set("scheduled", true);
                    }
                    if !later {
                        self.set("public", true);
                        self.was_public = true;
                    }
                    if present {
                        self.set("in review", false);
                    }
                }
                Move::Correct { present, standing } => {
                    if standing == Standing::Cancel {
                        self.set("scheduled", false);
                    }
                    if present {
                        self.set("in review", false);
                    }
                }
                Move::Unpublish => {
                    self.set("public", false);
                    self.set("scheduled", false);
                }
                Move::Archive => {
                    self.set("archived", true);
                    self.set("in review", false);
                }
                Move::Restore if self.is("trashed") => self.set("trashed", false),
                Move::Restore => self.set("archived", false),
                Move::Trash { .. } => {
                    self.set("trashed", true);
                    self.set("public", false);
                    self.set("scheduled", false);
                    self.set("in review", false);
                }
            }
        }

        fn state(&self) -> State {
            let visibility = match (self.is("public"), self.was_public) {
                (true, _) => Visibility::Public,
                (false, true) => Visibility::Withdrawn,
                (false, false) => Visibility::None,
            };
            let (in_review, scheduled) = (self.is("in review"), self.is("scheduled"));
            State { visibility, in_review, scheduled, archived: self.is("archived"), trashed: self.is("trashed") }
        }
    }

    proptest! {
        #[test]
        fn whatever_is_done_in_whatever_order_the_table_says_what_a_person_expects(
            steps in prop::collection::vec((prop::sample::select(&MOVES[..]), prop::sample::select(&Role::ALL[..])), 0..60)
        ) {
            let mut model = Model::default();
            let mut state = model.state();
            for (step, role) in steps {
                let outcome = state.after(step, role);
                prop_assert_eq!(outcome.is_ok(), model.allows(step, role), "{:?} by {:?} in {:?}", step, role, state);
                if let Ok(next) = outcome {
                    model.apply(step);
                    state = next;
                }
                prop_assert_eq!(state, model.state());
                let is_away = state.trashed || state.archived;
                prop_assert!(!is_away || state.visibility != Visibility::Public && !state.in_review && !state.scheduled);
            }
        }
    }

    #[test]
    fn every_refusal_says_what_would_make_it_possible() {
        for visibility in [Visibility::None, Visibility::Public, Visibility::Withdrawn] {
            for bits in 0..16 {
                let (in_review, scheduled) = (bits & 1 != 0, bits & 2 != 0);
                let (archived, trashed) = (bits & 4 != 0, bits & 8 != 0);
                let state = State { visibility, in_review, scheduled, archived, trashed };
                for (step, role) in MOVES.iter().flat_map(|step| Role::ALL.map(|role| (*step, role))) {
                    if let Err(Refusal::Forbidden(detail) | Refusal::Conflict(detail)) = state.after(step, role) {
                        assert!(detail.len() > 20 && detail.ends_with('.'), "{step:?} by {role:?} in {state:?}");
                    }
                }
            }
        }
    }
}
