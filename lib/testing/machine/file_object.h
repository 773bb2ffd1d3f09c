#include "lib/testing/machine/file_system.h"
