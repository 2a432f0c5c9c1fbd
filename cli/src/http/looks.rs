//! What was found in the folder for the requests of a round of completions.
//!
//! The requests that come in together ask for the same few files, and a look into the folder serves all of them. A worker
//! first receives what there is to receive, and then answers: a look is taken after every request that it serves, and each
//! sees whatever was done to the folder before it was sent.

use std::fs::File;
use std::rc::Rc;

use super::site::Document;

/// So many are noted in a round, since each keeps a file open.
pub(crate) const MOST: usize = 16;

/// A file that was opened, and what there is to know about it.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) file: Rc<File>,
    pub(crate) document: Rc<Document>,
}

/// The looks of a round, by the target of the request.
#[derive(Default, Debug)]
pub(crate) struct Looks(Vec<(String, Look)>);

impl Looks {
    pub(crate) fn find(&self, target: &str) -> Option<Look> {
        self.0.iter().find(|(known, _)| known == target).map(|(_, look)| look.clone())
    }

    pub(crate) fn note(&mut self, target: &str, look: &Look) {
        if self.0.len() < MOST {
            self.0.push((target.to_owned(), look.clone()));
        }
    }
}
