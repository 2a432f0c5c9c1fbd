//! What the backends of Windows are built on: one file per part of the system, with its unsafe calls.

pub(crate) mod afd;
