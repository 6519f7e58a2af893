// The native front end over the real service, asked without sockets.
#ifndef REWRAP_TESTS_API_NATIVE_FIXTURE_H_
#define REWRAP_TESTS_API_NATIVE_FIXTURE_H_

#include <memory>
#include <string>

#include "api/http/workers.h"
#include "api/native/front_end.h"
#include "tests/api/front_fake.h"
#include "tests/api/service_fixture.h"

namespace rewrap {

// There is an account for each role, of the role's name, and all have the password of front_fake.h.
class NativeFixture : public ServiceFixture {
 protected:
  void SetUp() override;
  void TearDown() override;

  // open starts service and front end; close ends both.
  void open();
  void close();

  test::TestAnswer ask(const std::string& method, const std::string& path,
                       const std::string& body = "", const std::string& account = "admin");
  test::TestAnswer get(const std::string& path) { return ask("GET", path); }
  test::TestAnswer post(const std::string& path, const std::string& body = "") {
    return ask("POST", path, body);
  }

  // expect_refused checks the one shape of errors, in it the reason, and that nobody is told of files.
  static void expect_refused(const test::TestAnswer& answer, int status, const std::string& reason);

  // The uuid of the job in an answer, and of a job the state.
  static Uuid uuid_of(const test::TestAnswer& answer, const std::string& path = "job.uuid");

  static inline const std::string kKeyset = std::string("/v1/keysets/") + kName;

  std::unique_ptr<Workers> workers_;
  std::unique_ptr<native::FrontEnd> front_end_;
};

}  // namespace rewrap

#endif  // REWRAP_TESTS_API_NATIVE_FIXTURE_H_
