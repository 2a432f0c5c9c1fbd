//! Nothing: the clients are the tests beside this.
