#include "smtp-server/detail/command.hpp"
