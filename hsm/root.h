// A root: something that holds a root key which never leaves it, and that makes KEKs and gives them
// back. One interface over PKCS#11 tokens, TPMs, KMIP servers and, for development, a key file. Lengths are bytes. A
// Root belongs to one thread at a time. Close it (let it go) before main returns, and before bulk
// work: once the KEK is out, a token that fails must not be able to hurt the job.
#ifndef REWRAP_HSM_ROOT_H_
#define REWRAP_HSM_ROOT_H_

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/secret_buffer.h"
#include "engine/base/status.h"
#include "hsm/protector.h"
#include "hsm/token_kek.h"

namespace rewrap {

// PinPrompt asks a person at a terminal. `token` is the token's label, to show. kUnavailable if
// there is no terminal.
using PinPrompt = std::function<Result<SecretBuffer>(const std::string& token)>;

struct RootOptions {
  bool allow_file_root = false;  // file: roots are for development and must be asked for
  bool allow_final_pin_try =
      false;               // log in even if the token says that one more wrong PIN locks it
  PinPrompt ask_pin = {};  // used where the URI has no pin-source; may be empty

  // What a TokenKek does when its token goes away under it: it pauses, first for `reconnect_pause`
  // and then for twice as long each time, up to 30 s, and gives up `reconnect_limit` after the
  // failure, or when `*stop` is set.
  std::chrono::milliseconds reconnect_pause{100};
  std::chrono::milliseconds reconnect_limit{60'000};
  const std::atomic<bool>* stop = nullptr;  // may be null; must outlive the TokenKeks
  // Called with the token's error before the waiting begins, once per loss, by the thread that met
  // it; must not use the token. May be empty.
  std::function<void(const Status&)> on_token_lost = {};
};

struct ProtectedKek {
  Protector protector;
  SecretBuffer kek;
};

// A KEK that was made inside a token and stays there.
struct ProtectedTokenKek {
  Protector protector;
  std::shared_ptr<TokenKek> kek;
};

// One line of what a root can do, found by doing it.
struct Capability {
  std::string name;  // e.g. "CKM_AES_KEY_WRAP wrap+unwrap"
  bool works = false;
  std::string detail;     // the error seen, or a remark
  double per_second = 0;  // measured rate; 0 where none was measured
};

struct RootReport {
  std::string description;  // manufacturer, model, token label, serial, firmware
  std::string key_ref;      // the root key found; empty if the URI names none that exists
  std::vector<Capability> capabilities;
  // How a KEK can be guarded: one line per mechanism, by mechanism_name(). `chosen` is that of the
  // root key found; where there is none, that of the root key which create_root_key would make.
  std::vector<Capability> protectors;
  std::optional<Mechanism> chosen;
  // "host", "kek-in-token" and "in-token": whether each can be had here; where not, `detail` says
  // what is missing.
  std::vector<Capability> custody;
};

class Root {
 public:
  Root() = default;
  Root(const Root&) = delete;
  Root& operator=(const Root&) = delete;
  virtual ~Root() = default;

  // create makes a new random AES KEK of `kek_len` bytes (16, 24 or 32) inside the root, wraps it
  // under the root key, and opens it again from the blob, so that a protector is never stored that
  // does not work. `context` is bound into the check value.
  // Errors: kNotFound, kDenied, kUnavailable, kUnsupported as for open.
  virtual Result<ProtectedKek> create(std::size_t kek_len, ByteView context) = 0;

  // open gives the KEK back from its protector.
  // Errors: kNotFound     the root key is not there
  //         kCorruption   the root key is right (its canary opens), the blob or its binding is not
  //         kDenied       the canary does not open either: another key under the same name
  //         kUnavailable  the root cannot be reached
  virtual Result<SecretBuffer> open(const Protector& protector, ByteView context) = 0;

  // protect makes a protector for a KEK that exists already (16, 24 or 32 bytes), and opens it again
  // before it gives it out. Errors: as create.
  virtual Result<Protector> protect(const SecretBuffer& kek, ByteView context);

  // create_in_token and open_in_token do what create and open do for a KEK that never leaves the
  // token. The KEK keeps the connection to the token alive, and may outlive the Root. They need no
  // root key: a Root from open_root_for_probe serves. When a TokenKek restarts its module to bring a
  // lost token back, Roots on the same module are to be opened again (kUnavailable says so).
  // Errors: as create and open; kUnsupported if this kind of root, or this token, cannot; hint says
  // what is missing.
  virtual Result<ProtectedTokenKek> create_in_token(TokenCustody custody, std::size_t kek_len,
                                                    ByteView context);
  virtual Result<std::shared_ptr<TokenKek>> open_in_token(const Protector& protector,
                                                          ByteView context);

  // activate makes protectors that were made for a coming state of the root valid, and those of the
  // state before dead (a TPM's counter: counter_of). Called when they are durably stored, and when
  // all that is still needed and bound to the same counter was protected anew; does nothing if it was
  // done before, or if the protector has no counter.
  virtual Status activate(const Protector& protector);

  // made_counter says whether this Root made the counter of its protectors when it made the first of
  // them. One that was there before may be what another store's protectors are bound to.
  [[nodiscard]] virtual bool made_counter() const { return false; }

  // destroy removes whatever the root itself keeps for this protector (roots that keep nothing
  // succeed at once). The root key stays.
  virtual Status destroy(const Protector& protector) = 0;

  // random fills `out` from the root's own generator.
  virtual Status random(ByteSpan out) = 0;

  // probe tries the root out with throwaway keys and measures it.
  virtual Result<RootReport> probe() = 0;
};

// open_root connects to the root key that `uri` names, and logs in (one PIN try, ever).
//   pkcs11:token=...;object=...?module-path=...&pin-source=file:...  RFC 7512
//   tpm2:?handle=...&pcrs=...                        see tpm2/uri.h
//   awskms:KEY-ARN?credentials=file:...              see awskms/uri.h
//   kmip://host:5696?name=...&ca=...&cert=...&key=...  see kmip/uri.h
//   file:/absolute/path                              needs options.allow_file_root
// Errors: kInvalidArgument  not a URI we know, unknown attributes, no token named, pin-value given
//         kNotFound         no such module, token or key; hint names which
//         kConflict         more than one token or key matches
//         kDenied           wrong PIN, locked PIN, final try, file mode not 0600
//         kUnavailable      the module or the token does not work now
//         kRefused          a file: root not asked for, or a root key that lets keys out
// A pkcs11: URI names a library to load: open only URIs that the operator, or a store that the
// operator trusts, gave.
Result<std::unique_ptr<Root>> open_root(const std::string& uri, const RootOptions& options);

// open_root_for_probe does the same but lets the URI name a token without a root key, so that
// probe() can look at it.
Result<std::unique_ptr<Root>> open_root_for_probe(const std::string& uri,
                                                  const RootOptions& options);

// create_root_key makes a new root key that cannot leave its root: in a token an AES-256 key for
// key wrap only; where the token does not do that, one for AES-GCM only; else an RSA key pair.
// `made`, if given, is told which.
// Errors: kAlreadyExists if a key of that name is there already; else as open_root.
Status create_root_key(const std::string& uri, const RootOptions& options,
                       Mechanism* made = nullptr);

// flush_root throws what ended programs left behind out of a root that has room for little (the
// objects and sessions of a raw TPM), and gives how much that was. It may belong to a program that
// still runs, so only when the operator asks for it.
// Errors: kUnsupported  this kind of root cleans up by itself; else as open_root
Result<std::size_t> flush_root(const std::string& uri);

}  // namespace rewrap

#endif  // REWRAP_HSM_ROOT_H_
