// A clear end where LMDB meets a damaged page: it reads its file through a memory map, so damage
// can show as a signal.
#ifndef REWRAP_TOOLS_REWRAP_FAULT_HANDLER_H_
#define REWRAP_TOOLS_REWRAP_FAULT_HANDLER_H_

namespace rewrap {

// install_fault_handler makes SIGBUS and SIGSEGV say that the store is probably damaged, and end
// the program with exit code 4, as any other damage does; SIGABRT says that an internal check
// failed and gives 1. Nothing is lost by either: what was committed is durable, the rest was never
// promised.
void install_fault_handler();

}  // namespace rewrap

#endif  // REWRAP_TOOLS_REWRAP_FAULT_HANDLER_H_
