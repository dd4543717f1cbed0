-- A catalogue of schema version 1, as genomics-nb made it before there were migrations.
-- Its audit key is 32 times the letter k; its audit.head: 7:84fb42254369c1b00ecc5ed4edb2f98ddf3ab7f8b2ad1087683bc8f78c126cea 19e15a85c2dfa366714474b0a2feea8145d90caa824b779d93f0a27a6f8bdccc
BEGIN TRANSACTION;
CREATE TABLE analyses (
	analysis VARCHAR(128) NOT NULL, 
	path TEXT NOT NULL, 
	content_hash VARCHAR(128) NOT NULL, 
	build VARCHAR(16) NOT NULL, 
	records BIGINT NOT NULL, 
	platform VARCHAR(128), 
	created DATETIME NOT NULL, 
	CONSTRAINT pk_analyses PRIMARY KEY (analysis), 
	CONSTRAINT uq_analyses_content_hash UNIQUE (content_hash)
);
INSERT INTO "analyses" VALUES('9c1e','9c1e.vcz','9c1e','GRCh38',4500000,'SeqOIA','2026-03-01 09:30:00.000000');
CREATE TABLE analysis_samples (
	analysis VARCHAR(128) NOT NULL, 
	sample VARCHAR(128) NOT NULL, 
	position INTEGER NOT NULL, 
	CONSTRAINT pk_analysis_samples PRIMARY KEY (analysis, sample), 
	CONSTRAINT fk_analysis_samples_analysis FOREIGN KEY(analysis) REFERENCES analyses (analysis), 
	CONSTRAINT fk_analysis_samples_sample FOREIGN KEY(sample) REFERENCES samples (sample)
);
INSERT INTO "analysis_samples" VALUES('9c1e','S-C',0);
INSERT INTO "analysis_samples" VALUES('9c1e','S-D',1);
INSERT INTO "analysis_samples" VALUES('9c1e','S-M',2);
CREATE TABLE audit (
	sequence INTEGER NOT NULL, 
	at VARCHAR(40) NOT NULL, 
	actor VARCHAR(128) NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	content TEXT NOT NULL, 
	previous VARCHAR(64) NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	CONSTRAINT pk_audit PRIMARY KEY (sequence)
);
INSERT INTO "audit" VALUES(1,'2026-11-24T11:43:24.094438+00:00','operator','consent','{"consent":1,"date":"2026-01-05","granted":true,"person":"C","purpose":"care","version":"2025-11"}','0000000000000000000000000000000000000000000000000000000000000000','db68cf531c24e6eaf99718ca028e8ac1479641a0713d72e7d70a3d5b35196ebd');
INSERT INTO "audit" VALUES(2,'2026-11-24T11:43:24.098663+00:00','operator','consent','{"consent":2,"date":"2026-01-05","granted":true,"person":"D","purpose":"care","version":"2025-11"}','db68cf531c24e6eaf99718ca028e8ac1479641a0713d72e7d70a3d5b35196ebd','e5ac6be21b82e4005a3ada3bbbec9e5f495f67788b43af05b3b71297600b0e84');
INSERT INTO "audit" VALUES(3,'2026-11-24T11:43:24.102499+00:00','operator','consent','{"consent":3,"date":"2026-01-06","granted":false,"person":"M","purpose":"care","version":"2025-11"}','e5ac6be21b82e4005a3ada3bbbec9e5f495f67788b43af05b3b71297600b0e84','b1b6f1ad21b9e8fc45dac8395825fd08b388b8709aa043b6863012023b6de544');
INSERT INTO "audit" VALUES(4,'2026-11-24T11:43:24.106055+00:00','operator','consent','{"consent":4,"date":"2026-01-05","granted":true,"person":"C","purpose":"research","version":"2025-11"}','b1b6f1ad21b9e8fc45dac8395825fd08b388b8709aa043b6863012023b6de544','7bd0390303b2477a1dee765316be8ffd04d3372d7d18a73dea82ac91c4a8d4a1');
INSERT INTO "audit" VALUES(5,'2026-11-24T11:43:24.109496+00:00','operator','consent','{"consent":5,"date":"2026-02-05","granted":false,"person":"C","purpose":"research","version":"2025-11"}','7bd0390303b2477a1dee765316be8ffd04d3372d7d18a73dea82ac91c4a8d4a1','fa47e192bce35b440489d1f868de2ceb3ae5e79e575fc65a78659fae285fbd60');
INSERT INTO "audit" VALUES(6,'2026-11-24T11:43:24.118937+00:00','operator','decision','{"allowed":true,"analysis":"9c1e","case":"DI-1","decision":1,"left_out":{"M":"care consent refused on 2026-01-06"},"purpose":"care","reason":"care consent of 2 of 3 family members","served":{"C":"care consent of 2026-01-05, form version 2025-11","D":"care consent of 2026-01-05, form version 2025-11"}}','fa47e192bce35b440489d1f868de2ceb3ae5e79e575fc65a78659fae285fbd60','501b472e7ffec0bfc2670075863531264609495c48ea602371b9bdc1c472095b');
INSERT INTO "audit" VALUES(7,'2026-11-24T11:43:24.125906+00:00','operator','decision','{"allowed":false,"analysis":"9c1e","case":"DI-1","decision":2,"left_out":{"C":"research consent withdrawn on 2026-02-05","D":"no research consent is recorded","M":"no research consent is recorded"},"purpose":"research","reason":"the proband C: research consent withdrawn on 2026-02-05","served":{}}','501b472e7ffec0bfc2670075863531264609495c48ea602371b9bdc1c472095b','84fb42254369c1b00ecc5ed4edb2f98ddf3ab7f8b2ad1087683bc8f78c126cea');
CREATE TABLE case_hpo (
	case_name VARCHAR(128) NOT NULL, 
	term VARCHAR(10) NOT NULL, 
	label TEXT NOT NULL, 
	present BOOLEAN NOT NULL, 
	position INTEGER NOT NULL, 
	CONSTRAINT pk_case_hpo PRIMARY KEY (case_name, term), 
	CONSTRAINT fk_case_hpo_case_name FOREIGN KEY(case_name) REFERENCES cases (case_name)
);
INSERT INTO "case_hpo" VALUES('DI-1','HP:0000365','Hearing impairment',1,0);
INSERT INTO "case_hpo" VALUES('DI-1','HP:0001249','',1,1);
INSERT INTO "case_hpo" VALUES('DI-1','HP:0001250','',0,2);
CREATE TABLE case_samples (
	case_name VARCHAR(128) NOT NULL, 
	person VARCHAR(128) NOT NULL, 
	sample VARCHAR(128) NOT NULL, 
	CONSTRAINT pk_case_samples PRIMARY KEY (case_name, person), 
	CONSTRAINT fk_case_samples_case_name FOREIGN KEY(case_name) REFERENCES cases (case_name), 
	CONSTRAINT fk_case_samples_person FOREIGN KEY(person) REFERENCES persons (person), 
	CONSTRAINT fk_case_samples_sample FOREIGN KEY(sample) REFERENCES samples (sample)
);
INSERT INTO "case_samples" VALUES('DI-1','C','S-C');
CREATE TABLE cases (
	case_name VARCHAR(128) NOT NULL, 
	family VARCHAR(128) NOT NULL, 
	proband VARCHAR(128) NOT NULL, 
	indication TEXT NOT NULL, 
	created DATETIME NOT NULL, 
	CONSTRAINT pk_cases PRIMARY KEY (case_name), 
	CONSTRAINT fk_cases_family FOREIGN KEY(family) REFERENCES families (family), 
	CONSTRAINT fk_cases_proband FOREIGN KEY(proband) REFERENCES persons (person)
);
INSERT INTO "cases" VALUES('DI-1','F1','C','Surdité','2026-11-24 11:43:24.084983');
CREATE TABLE consents (
	consent INTEGER NOT NULL, 
	person VARCHAR(128) NOT NULL, 
	purpose VARCHAR(32) NOT NULL, 
	granted BOOLEAN NOT NULL, 
	date DATE NOT NULL, 
	version VARCHAR(64) NOT NULL, 
	recorded DATETIME NOT NULL, 
	recorded_by VARCHAR(128) NOT NULL, 
	CONSTRAINT pk_consents PRIMARY KEY (consent), 
	CONSTRAINT fk_consents_person FOREIGN KEY(person) REFERENCES persons (person)
);
INSERT INTO "consents" VALUES(1,'C','care',1,'2026-01-05','2025-11','2026-11-24 11:43:24.093571','operator');
INSERT INTO "consents" VALUES(2,'D','care',1,'2026-01-05','2025-11','2026-11-24 11:43:24.098417','operator');
INSERT INTO "consents" VALUES(3,'M','care',0,'2026-01-06','2025-11','2026-11-24 11:43:24.102231','operator');
INSERT INTO "consents" VALUES(4,'C','research',1,'2026-01-05','2025-11','2026-11-24 11:43:24.105799','operator');
INSERT INTO "consents" VALUES(5,'C','research',0,'2026-02-05','2025-11','2026-11-24 11:43:24.109254','operator');
CREATE TABLE decisions (
	decision INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	actor VARCHAR(128) NOT NULL, 
	case_name VARCHAR(128) NOT NULL, 
	purpose VARCHAR(32) NOT NULL, 
	allowed BOOLEAN NOT NULL, 
	reason TEXT NOT NULL, 
	analysis VARCHAR(128), 
	served TEXT NOT NULL, 
	left_out TEXT NOT NULL, 
	CONSTRAINT pk_decisions PRIMARY KEY (decision), 
	CONSTRAINT fk_decisions_case_name FOREIGN KEY(case_name) REFERENCES cases (case_name), 
	CONSTRAINT fk_decisions_analysis FOREIGN KEY(analysis) REFERENCES analyses (analysis)
);
INSERT INTO "decisions" VALUES(1,'2026-11-24 11:43:24.117260','operator','DI-1','care',1,'care consent of 2 of 3 family members','9c1e','{"C":"care consent of 2026-01-05, form version 2025-11","D":"care consent of 2026-01-05, form version 2025-11"}','{"M":"care consent refused on 2026-01-06"}');
INSERT INTO "decisions" VALUES(2,'2026-11-24 11:43:24.125261','operator','DI-1','research',0,'the proband C: research consent withdrawn on 2026-02-05','9c1e','{}','{"C":"research consent withdrawn on 2026-02-05","D":"no research consent is recorded","M":"no research consent is recorded"}');
CREATE TABLE events (
	event INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	actor VARCHAR(128) NOT NULL, 
	kind VARCHAR(64) NOT NULL, 
	subject TEXT NOT NULL, 
	details TEXT NOT NULL, 
	CONSTRAINT pk_events PRIMARY KEY (event)
);
INSERT INTO "events" VALUES(1,'2026-11-24 11:43:24.089335','operator','ingest','9c1e','{"records": 4500000}');
CREATE TABLE families (
	family VARCHAR(128) NOT NULL, 
	created DATETIME NOT NULL, 
	CONSTRAINT pk_families PRIMARY KEY (family)
);
INSERT INTO "families" VALUES('F1','2026-11-24 11:43:24.081112');
CREATE TABLE members (
	family VARCHAR(128) NOT NULL, 
	person VARCHAR(128) NOT NULL, 
	father VARCHAR(128), 
	mother VARCHAR(128), 
	sex VARCHAR(8) NOT NULL, 
	affected BOOLEAN, 
	twin VARCHAR(128), 
	identical BOOLEAN NOT NULL, 
	CONSTRAINT pk_members PRIMARY KEY (family, person), 
	CONSTRAINT fk_members_family FOREIGN KEY(family) REFERENCES families (family), 
	CONSTRAINT fk_members_person FOREIGN KEY(person) REFERENCES persons (person), 
	CONSTRAINT fk_members_father FOREIGN KEY(father) REFERENCES persons (person), 
	CONSTRAINT fk_members_mother FOREIGN KEY(mother) REFERENCES persons (person)
);
INSERT INTO "members" VALUES('F1','C','D','M','female',1,NULL,0);
INSERT INTO "members" VALUES('F1','D',NULL,NULL,'male',0,NULL,0);
INSERT INTO "members" VALUES('F1','M',NULL,NULL,'female',NULL,NULL,0);
CREATE TABLE persons (
	person VARCHAR(128) NOT NULL, 
	created DATETIME NOT NULL, 
	CONSTRAINT pk_persons PRIMARY KEY (person)
);
INSERT INTO "persons" VALUES('C','2026-11-24 11:43:24.082090');
INSERT INTO "persons" VALUES('D','2026-11-24 11:43:24.082092');
INSERT INTO "persons" VALUES('M','2026-11-24 11:43:24.082093');
CREATE TABLE samples (
	sample VARCHAR(128) NOT NULL, 
	person VARCHAR(128) NOT NULL, 
	created DATETIME NOT NULL, 
	CONSTRAINT pk_samples PRIMARY KEY (sample), 
	CONSTRAINT fk_samples_person FOREIGN KEY(person) REFERENCES persons (person)
);
INSERT INTO "samples" VALUES('S-C','C','2026-11-24 11:43:24.086978');
INSERT INTO "samples" VALUES('S-D','D','2026-11-24 11:43:24.088060');
INSERT INTO "samples" VALUES('S-M','M','2026-11-24 11:43:24.088062');
CREATE TABLE store (
	id INTEGER NOT NULL, 
	schema_version INTEGER NOT NULL, 
	created DATETIME NOT NULL, 
	CONSTRAINT pk_store PRIMARY KEY (id)
);
INSERT INTO "store" VALUES(1,1,'2026-11-24 11:43:24.074072');
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit only grows'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit only grows'); END;
CREATE INDEX ix_samples_person ON samples (person);
CREATE INDEX ix_cases_proband ON cases (proband);
CREATE INDEX ix_cases_family ON cases (family);
CREATE INDEX ix_consents_person ON consents (person);
CREATE TRIGGER consents_no_update BEFORE UPDATE ON consents BEGIN SELECT RAISE(ABORT, 'consents only grows'); END;
CREATE TRIGGER consents_no_delete BEFORE DELETE ON consents BEGIN SELECT RAISE(ABORT, 'consents only grows'); END;
CREATE INDEX ix_analysis_samples_sample ON analysis_samples (sample);
CREATE INDEX ix_decisions_case_name ON decisions (case_name);
CREATE TRIGGER decisions_no_update BEFORE UPDATE ON decisions BEGIN SELECT RAISE(ABORT, 'decisions only grows'); END;
CREATE TRIGGER decisions_no_delete BEFORE DELETE ON decisions BEGIN SELECT RAISE(ABORT, 'decisions only grows'); END;
COMMIT;
