#include "agent/cli/own_key_codes.h"

#include <array>

namespace driveprep::cli {
namespace {

constexpr std::array kCodes = {
    // The job's key.
    OwnKeyCode{"key-settings-changed",
               "job.json was edited and names another key than the job uses.",
               "Run driveprep key set JOB to change to the key in job.json, or put back what it "
               "said."},
    OwnKeyCode{"key-and-identity",
               "Key and identity were to change in one step, which the services do not allow.",
               "Run driveprep key set twice: first --identity, then --key-url."},
    OwnKeyCode{"key-change-unfinished", "A change of the job's key was interrupted.",
               "Run driveprep key rewrap JOB to finish it; every envelope still opens."},
    OwnKeyCode{"key-state-corrupt", "JOB/key-state.json cannot be read.",
               "Restore it from a copy; it says which key protects the job."},
    OwnKeyCode{
        "identity", "The identity is none, or the key is not reached by one.",
        "Give system, or the resource id of a user-assigned identity, with a key of a vault."},
    OwnKeyCode{"audit-chain-broken", "The record of the job, or a part of it, was changed.",
               "Find out who could write to the job directory; compare with a copy of it."},
    // The local key store.
    OwnKeyCode{
        "key-store-missing", "There is no key store in the place that is named.",
        "Run driveprep keystore init, restore the store from its backup, or correct keyStore "
        "in job.json."},
    OwnKeyCode{"key-store-other", "Another key store is in the place of the one that is wanted.",
               "Name the key store that the job was begun with, or restore it from its backup."},
    OwnKeyCode{
        "key-store-unsafe",
        "A file of the key store, its directory or its unlock file can be changed or read by "
        "others.",
        "Give it to yourself alone: chown, chmod go-rwx; then find out who could read it."},
    OwnKeyCode{"key-store-corrupt", "A file of the key store is damaged.",
               "Restore the key store from its backup."},
    OwnKeyCode{"key-store-locked-out", "The unlock secret or passphrase does not open the store.",
               "Give the right passphrase, or restore the unlock file that belongs to the store."},
    OwnKeyCode{"key-store-exists", "There is a key store already.",
               "Use it, or name another directory."},
    OwnKeyCode{"key-exists", "The key store has a key of this name already.",
               "Choose another name, or make a new version: driveprep keystore new-version."},
    OwnKeyCode{"key-not-deleted", "Only a deleted key can be recovered or purged.",
               "driveprep keystore list shows the state of each key."},
    OwnKeyCode{"key-purge-refused",
               "The key store protects deleted keys until their retention is over.",
               "Wait for the date that driveprep keystore list shows."},
    OwnKeyCode{"key-name-invalid", "The name cannot be one of a key.",
               "Use 1 to 127 letters, digits and hyphens."},
    OwnKeyCode{"key-size-unsupported", "RSA keys of this length are not made.",
               "Use 2048, 3072 or 4096 bits."},
    OwnKeyCode{"key-generation-failed", "A new key could not be made or written.",
               "Check the random generator of the system and the room on the disk; run again."},
    OwnKeyCode{"key-passphrase", "The passphrase is too short or too long.",
               "Use 12 to 512 characters."},
    // Tokens.
    OwnKeyCode{"token-module", "The PKCS#11 module cannot be loaded.",
               "Correct module-path in the identifier of the key."},
    OwnKeyCode{"token-missing", "No token with this label and serial number is there.",
               "Plug it in, or correct the identifier of the key."},
    OwnKeyCode{"token-ambiguous", "Several tokens or keys fit the identifier.",
               "Add serial or id to the identifier."},
    OwnKeyCode{"token-locked", "The token has locked its PIN.",
               "Have the token's administrator unlock it."},
    OwnKeyCode{"token-pin-missing", "The token wants a PIN, and nobody gives one.",
               "Name a file with mode 0600 in pin-source, or run the command at a terminal."},
    // Envelopes and what is in them.
    OwnKeyCode{"envelope-missing", "A drive has no envelope, so nothing opens it.",
               "Restore the envelope from a copy of the job directory."},
    OwnKeyCode{"envelope-algorithm",
               "The envelope was made with an algorithm that is not accepted.",
               "Use the envelope that driveprep made; key show and key unwrap-secret take RSA-OAEP "
               "of other tools with --allow-rsa-oaep."},
    OwnKeyCode{"envelope-binding-invalid", "A job name or drive id cannot be bound to an envelope.",
               "Use names of 1 to 256 bytes of printable UTF-8."},
    OwnKeyCode{
        "envelope-recipients", "The envelope is under as many keys as it takes.",
        "Wait until the oldest may be dropped (driveprep key status tells when), then run the "
        "command again."},
    OwnKeyCode{"envelope-value-invalid", "What was to be protected does not have the right form.",
               "Give a secret of the kind and length that the message names."},
    OwnKeyCode{"envelopes-unreadable", "A directory in which envelopes may lie cannot be read.",
               "Give the user who runs driveprep access to the whole job directory."},
    OwnKeyCode{"secret-name", "The name cannot be one of a secret.",
               "Use 1 to 64 letters, digits, '-', '_' and '.', a letter or digit in front."},
    OwnKeyCode{"secret-exists", "The job has a secret of this name already.",
               "Choose another --name, or give --replace."},
    OwnKeyCode{"secret-unknown", "The job has no secret of this name.",
               "driveprep key status JOB lists them."},
    OwnKeyCode{"drive-unknown", "The job has no such drive, or it has no recovery password yet.",
               "driveprep status JOB lists the drives."},
    // The key that signs records.
    OwnKeyCode{"record-key-home", "The user has no place for the key that signs records.",
               "Set HOME or XDG_STATE_HOME to a directory of this user."},
    OwnKeyCode{"record-key-unsafe",
               "The key that signs records can be changed or read by others, or is not this "
               "user's.",
               "Give it to yourself alone: chown, chmod go-rwx; then find out who could sign "
               "with it."},
    OwnKeyCode{"record-key-malformed", "The file of the key that signs records holds no such key.",
               "Restore it from its backup, or move it away: the next record makes a new one, "
               "whose public key the readers of records have to be given."},
    OwnKeyCode{"record-key-write", "The key that signs records could not be read or made.",
               "See to the directory and its file system, and repeat the command."},
    // Volumes.
    OwnKeyCode{"key-file", "The file or descriptor with a key cannot be used.",
               "Name a file or descriptor that holds the key, readable by you alone."},
    OwnKeyCode{"metadata-backup", "The backup of the volume's metadata cannot be used.",
               "Use the backup of this volume."},
    OwnKeyCode{"protector-change-interrupted", "A change of the volume's protectors was cut off.",
               "Run the same command again; one of the copies of the metadata is whole."},
    OwnKeyCode{"key-does-not-open", "The password or key does not open the volume.",
               "Give the one that belongs to this volume; driveprep volume info lists its "
               "protectors."},
    OwnKeyCode{"no-such-protector", "The volume has no such protector.",
               "driveprep volume info lists the protectors."},
    OwnKeyCode{"bad-recovery-password", "The text is no recovery password.",
               "Check it for a slip: eight groups of six digits, each divisible by 11."},
    OwnKeyCode{"bad-external-key", "The file is no BitLocker external key (.BEK).",
               "Name the .BEK file of this volume."},
    OwnKeyCode{"bitlocker-password-text", "The password cannot be one of a volume.",
               "Use 8 to 256 characters that UTF-16 has."},
    OwnKeyCode{"fvek-size", "The volume key does not have the length of the cipher.",
               "Run again; if it stays so, report it as a bug."},
    OwnKeyCode{"fvek-weak", "The two halves of a volume key were equal.",
               "Check the random generator of the system, then run again."},
    OwnKeyCode{"random-failed", "The system gave no random numbers.",
               "Check the random generator of the system, then run again."},
    OwnKeyCode{"secret-memory-exhausted", "No memory could be set aside for a secret.",
               "Raise the limit of locked memory (ulimit -l), or end other programs."},
};

}  // namespace

std::span<const OwnKeyCode> own_key_codes() { return kCodes; }

}  // namespace driveprep::cli
