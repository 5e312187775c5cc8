#include "core/low.h"
