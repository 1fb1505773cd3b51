################################################################################
#
# python-pillow-simd
#
################################################################################

PYTHON_PILLOW_SIMD_VERSION = 12.1.1.post0
PYTHON_PILLOW_SIMD_SOURCE = pillow_simd-$(PYTHON_PILLOW_SIMD_VERSION).tar.gz
PYTHON_PILLOW_SIMD_SITE = https://files.pythonhosted.org/packages/b4/c6/21b1536f2f4b7cdea88ac4ddccfc779062774dea8169b5aeae9cfc25fb2d
PYTHON_PILLOW_SIMD_SETUP_TYPE = setuptools
PYTHON_PILLOW_SIMD_LICENSE = MIT-CMU
PYTHON_PILLOW_SIMD_LICENSE_FILES = LICENSE
PYTHON_PILLOW_SIMD_DEPENDENCIES = \
	freetype host-pkgconf jpeg lcms2 openjpeg python-pybind webp zlib

# python-pybind brings its headers without the metadata that a check of build
# dependencies looks for; "enable" stops the build where a library is missing.
PYTHON_PILLOW_SIMD_BUILD_OPTS = \
	--skip-dependency-check \
	-Cplatform-guessing=disable \
	-Cfreetype=enable \
	-Cimagequant=disable \
	-Cjpeg2000=enable \
	-Cjpeg=enable \
	-Clcms=enable \
	-Craqm=disable \
	-Ctiff=disable \
	-Cwebp=enable \
	-Cxcb=disable \
	-Czlib=enable

$(eval $(python-package))
