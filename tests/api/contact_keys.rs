//! The keys of contact messages as the person who runs the program meets them, and messages that outlive SIGKILL.
