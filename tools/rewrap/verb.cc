// The one file that asks CLI11 for options.
#include "tools/rewrap/verb.h"

#include <CLI/CLI.hpp>
#include <utility>

namespace rewrap {

Option Option::required() const {
  option_->required();
  return *this;
}

Option Option::type_name(const char* name) const {
  option_->type_name(name);
  return *this;
}

Option Option::shows_default() const {
  option_->capture_default_str();
  return *this;
}

Option Option::one_of(std::initializer_list<const char*> values) const {
  option_->check(CLI::IsMember(std::vector<std::string>(values.begin(), values.end())));
  return *this;
}

Option Option::one_of(std::initializer_list<int> values) const {
  option_->check(CLI::IsMember(std::vector<int>(values)));
  return *this;
}

template <typename T>
Option Option::between(T least, T most) const {
  option_->check(CLI::Range(least, most));
  return *this;
}

template Option Option::between(unsigned, unsigned) const;
template Option Option::between(std::uint64_t, std::uint64_t) const;
template Option Option::between(double, double) const;

Verb Verb::add_group(const char* name, const char* description) const {
  CLI::App* group = app_->add_subcommand(name, description);
  group->require_subcommand(1);
  group->fallthrough();
  return {group, chosen_};
}

Verb Verb::add_verb(const char* name, const char* description, Action run) const {
  CLI::App* verb = app_->add_subcommand(name, description);
  verb->fallthrough();
  verb->callback([chosen = chosen_, run = std::move(run)] { *chosen = run; });
  return {verb, chosen_};
}

template <typename T>
Option Verb::add_option(const char* name, T* value, const char* help) const {
  return Option(app_->add_option(name, *value, help));
}

template Option Verb::add_option(const char*, std::string*, const char*) const;
template Option Verb::add_option(const char*, std::vector<std::string>*, const char*) const;
template Option Verb::add_option(const char*, unsigned*, const char*) const;
template Option Verb::add_option(const char*, std::uint64_t*, const char*) const;
template Option Verb::add_option(const char*, double*, const char*) const;

void Verb::add_flag(const char* name, bool* value, const char* help) const {
  app_->add_flag(name, *value, help);
}

}  // namespace rewrap
