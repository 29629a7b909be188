//! SecureBackup as a library: vaults, sessions and their operations.
