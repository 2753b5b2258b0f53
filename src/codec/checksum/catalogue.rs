//! The CRC RevEng catalogue, as the crate `crc` has it: every algorithm under its name.

use crc::Algorithm;

/// The parameters in a wider word.
macro_rules! narrow {
    ($a:expr) => {
        widened!($a, u32)
    };
}
macro_rules! wide {
    ($a:expr) => {
        widened!($a, u128)
    };
}
macro_rules! widened {
    ($a:expr, $word:ty) => {
        Algorithm {
            width: $a.width,
            poly: $a.poly as $word,
            init: $a.init as $word,
            refin: $a.refin,
            refout: $a.refout,
            xorout: $a.xorout as $word,
            check: $a.check as $word,
            residue: $a.residue as $word,
        }
    };
}
pub(super) use {narrow, widened};

/// Up to 32 bits: the name here, and the parameters. ARC, KERMIT, MODBUS and XMODEM stand among the usual ones.
#[rustfmt::skip]
pub(super) const NARROW: &[(&str, Algorithm<u32>)] = &[
    ("crc3-gsm", narrow!(crc::CRC_3_GSM)),
    ("crc3-rohc", narrow!(crc::CRC_3_ROHC)),
    ("crc4-g-704", narrow!(crc::CRC_4_G_704)),
    ("crc4-interlaken", narrow!(crc::CRC_4_INTERLAKEN)),
    ("crc5-epc-c1g2", narrow!(crc::CRC_5_EPC_C1G2)),
    ("crc5-g-704", narrow!(crc::CRC_5_G_704)),
    ("crc5-usb", narrow!(crc::CRC_5_USB)),
    ("crc6-cdma2000-a", narrow!(crc::CRC_6_CDMA2000_A)),
    ("crc6-cdma2000-b", narrow!(crc::CRC_6_CDMA2000_B)),
    ("crc6-darc", narrow!(crc::CRC_6_DARC)),
    ("crc6-g-704", narrow!(crc::CRC_6_G_704)),
    ("crc6-gsm", narrow!(crc::CRC_6_GSM)),
    ("crc7-mmc", narrow!(crc::CRC_7_MMC)),
    ("crc7-rohc", narrow!(crc::CRC_7_ROHC)),
    ("crc7-umts", narrow!(crc::CRC_7_UMTS)),
    ("crc8-autosar", narrow!(crc::CRC_8_AUTOSAR)),
    ("crc8-bluetooth", narrow!(crc::CRC_8_BLUETOOTH)),
    ("crc8-cdma2000", narrow!(crc::CRC_8_CDMA2000)),
    ("crc8-darc", narrow!(crc::CRC_8_DARC)),
    ("crc8-dvb-s2", narrow!(crc::CRC_8_DVB_S2)),
    ("crc8-gsm-a", narrow!(crc::CRC_8_GSM_A)),
    ("crc8-gsm-b", narrow!(crc::CRC_8_GSM_B)),
    ("crc8-hitag", narrow!(crc::CRC_8_HITAG)),
    ("crc8-i-432-1", narrow!(crc::CRC_8_I_432_1)),
    ("crc8-i-code", narrow!(crc::CRC_8_I_CODE)),
    ("crc8-lte", narrow!(crc::CRC_8_LTE)),
    ("crc8-maxim-dow", narrow!(crc::CRC_8_MAXIM_DOW)),
    ("crc8-mifare-mad", narrow!(crc::CRC_8_MIFARE_MAD)),
    ("crc8-nrsc-5", narrow!(crc::CRC_8_NRSC_5)),
    ("crc8-opensafety", narrow!(crc::CRC_8_OPENSAFETY)),
    ("crc8-rohc", narrow!(crc::CRC_8_ROHC)),
    ("crc8-sae-j1850", narrow!(crc::CRC_8_SAE_J1850)),
    ("crc8-smbus", narrow!(crc::CRC_8_SMBUS)),
    ("crc8-tech-3250", narrow!(crc::CRC_8_TECH_3250)),
    ("crc8-wcdma", narrow!(crc::CRC_8_WCDMA)),
    ("crc10-atm", narrow!(crc::CRC_10_ATM)),
    ("crc10-cdma2000", narrow!(crc::CRC_10_CDMA2000)),
    ("crc10-gsm", narrow!(crc::CRC_10_GSM)),
    ("crc11-flexray", narrow!(crc::CRC_11_FLEXRAY)),
    ("crc11-umts", narrow!(crc::CRC_11_UMTS)),
    ("crc12-cdma2000", narrow!(crc::CRC_12_CDMA2000)),
    ("crc12-dect", narrow!(crc::CRC_12_DECT)),
    ("crc12-gsm", narrow!(crc::CRC_12_GSM)),
    ("crc12-umts", narrow!(crc::CRC_12_UMTS)),
    ("crc13-bbc", narrow!(crc::CRC_13_BBC)),
    ("crc14-darc", narrow!(crc::CRC_14_DARC)),
    ("crc14-gsm", narrow!(crc::CRC_14_GSM)),
    ("crc15-can", narrow!(crc::CRC_15_CAN)),
    ("crc15-mpt1327", narrow!(crc::CRC_15_MPT1327)),
    ("crc16-cdma2000", narrow!(crc::CRC_16_CDMA2000)),
    ("crc16-cms", narrow!(crc::CRC_16_CMS)),
    ("crc16-dds-110", narrow!(crc::CRC_16_DDS_110)),
    ("crc16-dect-r", narrow!(crc::CRC_16_DECT_R)),
    ("crc16-dect-x", narrow!(crc::CRC_16_DECT_X)),
    ("crc16-dnp", narrow!(crc::CRC_16_DNP)),
    ("crc16-en-13757", narrow!(crc::CRC_16_EN_13757)),
    ("crc16-genibus", narrow!(crc::CRC_16_GENIBUS)),
    ("crc16-gsm", narrow!(crc::CRC_16_GSM)),
    ("crc16-ibm-3740", narrow!(crc::CRC_16_IBM_3740)),
    ("crc16-ibm-sdlc", narrow!(crc::CRC_16_IBM_SDLC)),
    ("crc16-iso-iec-14443-3-a", narrow!(crc::CRC_16_ISO_IEC_14443_3_A)),
    ("crc16-lj1200", narrow!(crc::CRC_16_LJ1200)),
    ("crc16-m17", narrow!(crc::CRC_16_M17)),
    ("crc16-maxim-dow", narrow!(crc::CRC_16_MAXIM_DOW)),
    ("crc16-mcrf4xx", narrow!(crc::CRC_16_MCRF4XX)),
    ("crc16-nrsc-5", narrow!(crc::CRC_16_NRSC_5)),
    ("crc16-opensafety-a", narrow!(crc::CRC_16_OPENSAFETY_A)),
    ("crc16-opensafety-b", narrow!(crc::CRC_16_OPENSAFETY_B)),
    ("crc16-profibus", narrow!(crc::CRC_16_PROFIBUS)),
    ("crc16-riello", narrow!(crc::CRC_16_RIELLO)),
    ("crc16-spi-fujitsu", narrow!(crc::CRC_16_SPI_FUJITSU)),
    ("crc16-t10-dif", narrow!(crc::CRC_16_T10_DIF)),
    ("crc16-teledisk", narrow!(crc::CRC_16_TELEDISK)),
    ("crc16-tms37157", narrow!(crc::CRC_16_TMS37157)),
    ("crc16-umts", narrow!(crc::CRC_16_UMTS)),
    ("crc16-usb", narrow!(crc::CRC_16_USB)),
    ("crc17-can-fd", narrow!(crc::CRC_17_CAN_FD)),
    ("crc21-can-fd", narrow!(crc::CRC_21_CAN_FD)),
    ("crc24-ble", narrow!(crc::CRC_24_BLE)),
    ("crc24-flexray-a", narrow!(crc::CRC_24_FLEXRAY_A)),
    ("crc24-flexray-b", narrow!(crc::CRC_24_FLEXRAY_B)),
    ("crc24-interlaken", narrow!(crc::CRC_24_INTERLAKEN)),
    ("crc24-lte-a", narrow!(crc::CRC_24_LTE_A)),
    ("crc24-lte-b", narrow!(crc::CRC_24_LTE_B)),
    ("crc24-openpgp", narrow!(crc::CRC_24_OPENPGP)),
    ("crc24-os-9", narrow!(crc::CRC_24_OS_9)),
    ("crc30-cdma", narrow!(crc::CRC_30_CDMA)),
    ("crc31-philips", narrow!(crc::CRC_31_PHILIPS)),
    ("crc32-aixm", narrow!(crc::CRC_32_AIXM)),
    ("crc32-autosar", narrow!(crc::CRC_32_AUTOSAR)),
    ("crc32-base91-d", narrow!(crc::CRC_32_BASE91_D)),
    ("crc32-bzip2", narrow!(crc::CRC_32_BZIP2)),
    ("crc32-cd-rom-edc", narrow!(crc::CRC_32_CD_ROM_EDC)),
    ("crc32-cksum", narrow!(crc::CRC_32_CKSUM)),
    ("crc32-iscsi", narrow!(crc::CRC_32_ISCSI)),
    ("crc32-iso-hdlc", narrow!(crc::CRC_32_ISO_HDLC)),
    ("crc32-jamcrc", narrow!(crc::CRC_32_JAMCRC)),
    ("crc32-mef", narrow!(crc::CRC_32_MEF)),
    ("crc32-mpeg-2", narrow!(crc::CRC_32_MPEG_2)),
    ("crc32-xfer", narrow!(crc::CRC_32_XFER)),
];

/// More than 32 bits.
#[rustfmt::skip]
pub(super) const WIDE: &[(&str, Algorithm<u128>)] = &[
    ("crc40-gsm", wide!(crc::CRC_40_GSM)),
    ("crc64-ecma-182", wide!(crc::CRC_64_ECMA_182)),
    ("crc64-go-iso", wide!(crc::CRC_64_GO_ISO)),
    ("crc64-ms", wide!(crc::CRC_64_MS)),
    ("crc64-nvme", wide!(crc::CRC_64_NVME)),
    ("crc64-redis", wide!(crc::CRC_64_REDIS)),
    ("crc64-we", wide!(crc::CRC_64_WE)),
    ("crc64-xz", wide!(crc::CRC_64_XZ)),
    ("crc82-darc", wide!(crc::CRC_82_DARC)),
];
