//! The roles: what an account may do.

use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::serialize::{IsNull, Output, ToSql};
use diesel::sql_types::Text;
use diesel::sqlite::{Sqlite, SqliteValue};
use diesel::{deserialize, serialize};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, AsExpression, FromSqlRow)]
#[serde(rename_all = "snake_case")]
#[diesel(sql_type = Text)]
pub enum Role {
    /// Writes own drafts.
    Contributor,
    /// Also publishes own articles.
    Author,
    /// All content, taxonomy and the site.
    Editor,
    /// Contact submissions and nothing else.
    Intake,
    /// All that an editor may, and users, keys and the audit trail; not contact submissions.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [Self::Contributor, Self::Author, Self::Editor, Self::Intake, Self::Admin];

    /// The role's name in the API and the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Contributor => "contributor",
            Self::Author => "author",
            Self::Editor => "editor",
            Self::Intake => "intake",
            Self::Admin => "admin",
        }
    }

    /// The role of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Whether sign-ins of this role end sooner: it reaches accounts, or the most private words.
    pub const fn is_privileged(self) -> bool {
        matches!(self, Self::Admin | Self::Intake)
    }

    /// What an API key of this role may do in the hand of a person of that one: never more than the person,
    /// and nothing where neither contains the other.
    pub fn limited_to(self, person: Self) -> Option<Self> {
        let rank = |role: Self| match role {
            Self::Contributor => Some(1),
            Self::Author => Some(2),
            Self::Editor => Some(3),
            Self::Admin => Some(4),
            Self::Intake => None,
        };
        let (own, theirs) = (rank(self)?, rank(person)?);
        Some(if own <= theirs { self } else { person })
    }

    /// Whether the role reaches every article, not only the caller's own.
    pub const fn edits_all_articles(self) -> bool {
        matches!(self, Self::Editor | Self::Admin)
    }
}

impl ToSql<Text, Sqlite> for Role {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.name());
        Ok(IsNull::No)
    }
}

impl diesel::deserialize::FromSql<Text, Sqlite> for Role {
    fn from_sql(mut value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        Self::from_name(value.read_text()).ok_or_else(|| "a role that this program does not know".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_does_more_than_its_person() {
        for role in Role::ALL {
            for person in Role::ALL {
                let limited = role.limited_to(person);
                if role == Role::Intake || person == Role::Intake {
                    assert_eq!(limited, None);
                } else {
                    assert!(limited == Some(role) || limited == Some(person));
                }
            }
        }
        assert_eq!(Role::Editor.limited_to(Role::Author), Some(Role::Author));
        assert_eq!(Role::Author.limited_to(Role::Admin), Some(Role::Author));
    }
}
