#include "smtp-server/detail/content.hpp"
