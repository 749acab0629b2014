//! Why a user's file was not read, in one word.

use super::why::Why;
use crate::host::not_read::Cause;

impl From<&Why> for Cause {
    fn from(why: &Why) -> Self {
        match why {
            Why::NotRegular(_) => Self::NotRegular,
            Why::Links(_) => Self::Links,
            Why::TooLarge(_) | Why::PathTooLong => Self::Size,
            Why::Denied { .. } => Self::Permission,
            Why::Changed | Why::Unsteady => Self::Unsteady,
            Why::Hung => Self::Hang,
            _ => Self::Error,
        }
    }
}
