//! Where lamps are: `url: lamp:///folder`.

use proofmark_environment::Role;

/// The folder of the lamps.
pub const ROLE: Role = Role {
    name: "lamps",
    keys: &[],
    schemes: &["lamp"],
    wants: "is a folder of lamps",
    help: "write `lamp:///folder`",
    ..Role::HTTP
};
