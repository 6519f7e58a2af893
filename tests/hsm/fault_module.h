// What a test can set and see in the fault module: a PKCS#11 module that passes calls on to SoftHSM
// and fails where it is told to. A test in the same process sets FaultControl by load_faults(); for
// a program under test, REWRAP_FAULTS names a file with lines such as
//   rv=0x30
//   function=C_Decrypt
//   at=5
// by the names of Fault's members, read when the module is loaded; each C_Finalize then writes
// calls=, faults=, logins= and initializes= into the file of that name with .seen after it.
#ifndef REWRAP_TESTS_HSM_FAULT_MODULE_H_
#define REWRAP_TESTS_HSM_FAULT_MODULE_H_

#include <dlfcn.h>

namespace rewrap::test {

// Fault is one order to fail. Calls are counted from 1 since the order was given; C_Initialize,
// C_Finalize and C_CloseSession are not counted and never fail.
struct Fault {
  // The answer. 0: no fault; or, where something is dropped or exchanged, that happens before the
  // call, which then has whatever answer it has.
  unsigned long rv = 0;
  char function[32] = "";  // only calls of this function are counted and fail; "": of any
  long at = 0;             // fail at this call,
  long every = 0;          // or at each multiple of this,
  long num = 1;            // and so many calls in a row,
  int until_restart = 0;   // or all from there on until C_Finalize
  int after = 0;           // do what was asked for, but lose the answer
  int drop_sessions = 0;   // the token closes all sessions, too
  int drop_login = 0;      // the token logs the user out, too
  // The first so many object handles that were given out lead to each other's objects from now on, in
  // the reverse order, until C_Finalize.
  long exchange = 0;
};

struct FaultControl {
  Fault first;
  Fault second;  // its calls are counted from the first one's failing
  // With a number p, the first p object handles that the module gives out after each second
  // C_Initialize are in the reverse order: handles from before are valid, for other keys.
  long shuffle = 0;
  unsigned long max_len = 0;        // if not 0: C_Encrypt and C_Decrypt take no more at once
  unsigned long no_token_keys = 0;  // if not 0: what C_GenerateKey answers where CKA_TOKEN is true
  unsigned long token_flags = 0;    // or-ed into what C_GetTokenInfo says
  char serial[17] = "";             // if not "": what C_GetTokenInfo says
  unsigned long short_by = 0;       // C_Encrypt and C_Decrypt say that they gave so much less
  // If not 0: C_GetAttributeValue says the opposite of this Boolean attribute, of the objects that
  // C_CopyObject made or of all.
  unsigned long lie_about = 0;
  int lie_about_copies_only = 0;
  // Seen so far.
  long num_calls = 0;
  long num_faults = 0;
  long num_logins = 0;
  long num_initializes = 0;
};

// load_faults gives the control block of the module at `path`. It stays loaded, as p11-kit's later
// load finds the same copy. After an order, start() sets all counts to zero:
//   control->first = {.rv = 0x30, .at = 5};
//   start();
struct LoadedFaults {
  FaultControl* control = nullptr;
  void (*start)() = nullptr;
};
inline LoadedFaults load_faults(const char* path) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return {};
  return {.control = static_cast<FaultControl*>(dlsym(library, "rewrap_fault_control")),
          .start = reinterpret_cast<void (*)()>(dlsym(library, "rewrap_fault_start"))};
}

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_HSM_FAULT_MODULE_H_
