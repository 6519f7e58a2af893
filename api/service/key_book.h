// What KEK versions were: the table `keys`, which remembers them after they are destroyed.
#ifndef REWRAP_API_SERVICE_KEY_BOOK_H_
#define REWRAP_API_SERVICE_KEY_BOOK_H_

#include <vector>

#include "api/service/keysets.h"
#include "api/service/service_db.h"
#include "rekey/records.h"
#include "rekey/store.h"

namespace rewrap {

// note_keys writes down every KEK version of a keyset that is not known yet.
Status note_keys(Store* store, ServiceDb* db, const KeysetRecord& keyset);

// read_keys gives all KEK versions of a keyset, in order; calls note_keys.
Result<std::vector<KeyInfo>> read_keys(Store* store, ServiceDb* db, const KeysetRecord& keyset);

}  // namespace rewrap

#endif  // REWRAP_API_SERVICE_KEY_BOOK_H_
