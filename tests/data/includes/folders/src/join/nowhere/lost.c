/* A folder that the order does not name. */
#include "core/low.h"
