// Verbs of a command line and what they take. Hides CLI11, whose headers cost ten seconds a file.
#ifndef REWRAP_TOOLS_REWRAP_VERB_H_
#define REWRAP_TOOLS_REWRAP_VERB_H_

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace rewrap {

// Action is what a verb does once the command line is parsed; it gives the exit code.
using Action = std::function<int()>;

// Option is one that was just added, to say more of it. It refers to its verb's, and is copied freely.
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}

  Option required() const;
  Option type_name(const char* name) const;
  Option shows_default() const;
  Option one_of(std::initializer_list<const char*> values) const;
  Option one_of(std::initializer_list<int> values) const;
  // between takes what has the option's own type; both ends are good values.
  template <typename T>
  Option between(T least, T most) const;

 private:
  CLI::Option* option_;
};

// Verb refers to one of a CLI::App, and is copied freely. The values that options are read into must
// live for as long as the command line is parsed; defaults are what they hold before.
class Verb {
 public:
  Verb(CLI::App* app, Action* chosen) : app_(app), chosen_(chosen) {}

  // add_verb makes one below this one, whose action is `run`; add_group one that needs a verb of its
  // own. The options of the verbs above may stand behind either.
  [[nodiscard]] Verb add_group(const char* name, const char* description) const;
  Verb add_verb(const char* name, const char* description, Action run) const;

  // "NAME" is positional, "--name" is not. T: std::string, std::vector<std::string>,
  // unsigned, std::uint64_t, double.
  template <typename T>
  Option add_option(const char* name, T* value, const char* help) const;
  void add_flag(const char* name, bool* value, const char* help) const;

 private:
  CLI::App* app_;
  Action* chosen_;
};

}  // namespace rewrap

#endif  // REWRAP_TOOLS_REWRAP_VERB_H_
