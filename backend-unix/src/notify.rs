//! What the command tells of itself, as programs made for systemd do: sd_notify(3).

mod folder;
pub(crate) mod message;
mod socket;
mod status;

pub(crate) use folder::Address;
pub(crate) use message::Message;
pub(crate) use socket::{AT_A_TIME, LAST_MESSAGES, Notify, Sender, Taken};
pub(crate) use status::Status;
